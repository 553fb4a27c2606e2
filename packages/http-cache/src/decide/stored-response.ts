import type { HeaderRecord } from "../fields/header-record.ts";

/** An answer as it is stored: plain data that a store may serialise. All times are in milliseconds. */
export interface StoredResponse {
  readonly status: number;
  /** Without `age`, which is computed, and without the fields of one connection. */
  readonly headers: HeaderRecord;
  /** Whole, and never to be written to: it may be a view of memory that others read. */
  readonly body: Uint8Array;
  /** Lower-case names from `Vary`. */
  readonly vary: readonly string[];
  /** What the request said in the fields that `vary` names, normalised. */
  readonly variant: readonly string[];
  /** When the answer arrived, as epoch milliseconds. */
  readonly receivedAtMs: number;
  /** How old it was then (RFC 9111, 4.2.3: corrected initial age). */
  readonly initialAgeMs: number;
  /** Its freshness lifetime (RFC 9111, 4.2.1). */
  readonly freshForMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** True for `no-cache`: every use needs the origin's word. */
  readonly validatesAlways: boolean;
  /** True where nothing stale may be used: `must-revalidate`, in a shared cache also `proxy-revalidate` and `s-maxage`. */
  readonly isNeverStale: boolean;
  /** True for `immutable` (RFC 8246). */
  readonly isImmutable: boolean;
  /** From when on it is of no use, as epoch milliseconds: a store may forget it then. */
  readonly keepUntilMs: number;
  /** Keys of the groups it belongs to (RFC 9875). */
  readonly groups: readonly string[];
}

/** True when both answers are for the same requests, so that one replaces the other. */
export function isSameVariant(left: StoredResponse, right: StoredResponse): boolean {
  return haveSameItems(left.vary, right.vary) && haveSameItems(left.variant, right.variant);
}

function haveSameItems(left: readonly string[], right: readonly string[]): boolean {
  if (left === right) return true;
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

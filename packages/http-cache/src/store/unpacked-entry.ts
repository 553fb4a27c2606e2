/**
 * A record holds the key and the fields of an entry as JSON, followed by the body. It is outside the garbage-collected heap, where the objects and
 * strings of an entry would take several times as much memory.
 */
import type { HeaderRecord } from "../fields/header-record.ts";
import type { CacheEntry } from "../ports.ts";
import type { EntryTable } from "./entry-table.ts";

/** An entry as a reader gets it. */
export class UnpackedEntry implements CacheEntry {
  readonly key: string;
  readonly status: number;
  readonly headers: HeaderRecord;
  readonly vary: readonly string[];
  readonly variant: readonly string[];
  readonly receivedAtMs: number;
  readonly initialAgeMs: number;
  readonly freshForMs: number;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly validatesAlways: boolean;
  readonly isNeverStale: boolean;
  readonly isImmutable: boolean;
  readonly keepUntilMs: number;
  readonly groups: readonly string[];
  /** A view of the record. It is replaced when the record moves, so that a remembered entry keeps no old block alive. */
  body: Uint8Array;

  constructor(table: EntryTable, slot: number) {
    const [key, headers, vary, variant, groups, numbers, flags] = JSON.parse(decoder.decode(table.head(slot))) as Head;
    this.key = key;
    this.status = numbers[0];
    this.headers = headers;
    this.vary = vary;
    this.variant = variant;
    this.receivedAtMs = numbers[1];
    this.initialAgeMs = numbers[2];
    this.freshForMs = numbers[3];
    this.staleWhileRevalidateMs = numbers[4];
    this.staleIfErrorMs = numbers[5];
    this.validatesAlways = (flags & 1) !== 0;
    this.isNeverStale = (flags & 2) !== 0;
    this.isImmutable = (flags & 4) !== 0;
    this.keepUntilMs = table.keepUntilMs[slot] ?? 0;
    this.groups = groups;
    this.body = table.body(slot);
  }
}

type Head = readonly [
  key: string,
  headers: HeaderRecord,
  vary: readonly string[],
  variant: readonly string[],
  groups: readonly string[],
  numbers: readonly [number, number, number, number, number, number],
  flags: number,
];

const encoder = new TextEncoder();
// A key may begin with U+FEFF.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** The buffer for encoding heads. A new array for each would immediately be garbage. */
let scratch = new Uint8Array(4_096);

/** Packs the key and the fields of an entry, without its body. The bytes are valid until the next call. */
export function packHead(key: string, entry: CacheEntry): Uint8Array {
  const { status, receivedAtMs, initialAgeMs, freshForMs, staleWhileRevalidateMs, staleIfErrorMs } = entry;
  const numbers = [status, receivedAtMs, initialAgeMs, freshForMs, staleWhileRevalidateMs, staleIfErrorMs] as const;
  const flags = (entry.validatesAlways ? 1 : 0) + (entry.isNeverStale ? 2 : 0) + (entry.isImmutable ? 4 : 0);
  const head: Head = [key, entry.headers, entry.vary, entry.variant, entry.groups, numbers, flags];
  const text = JSON.stringify(head);
  // UTF-8 has at most three bytes for each unit of a string.
  if (scratch.length < text.length * 3) scratch = new Uint8Array(text.length * 3);
  return scratch.subarray(0, encoder.encodeInto(text, scratch).written);
}

/** Unpacked entries that are remembered, so that a response that is read often is unpacked once. */
const maxUnpacked = 1_000;

/** Unpacks entries, and remembers those that were unpacked last. */
export interface Unpacker {
  open(slot: number): UnpackedEntry;
  /** Unpacks an entry without remembering it, because no reader has requested it. */
  peek(slot: number): UnpackedEntry;
  /** Follows a record to its new place. */
  move(slot: number): void;
  forget(slot: number): void;
}

/** Creates an unpacker that remembers nothing yet. */
export function createUnpacker(table: EntryTable): Unpacker {
  const remembered = new Map<number, UnpackedEntry>();
  return {
    open(slot) {
      const known = remembered.get(slot);
      if (known !== undefined) return known;
      if (remembered.size >= maxUnpacked) {
        const [oldest] = remembered.keys();
        if (oldest !== undefined) remembered.delete(oldest);
      }
      const unpacked = new UnpackedEntry(table, slot);
      remembered.set(slot, unpacked);
      return unpacked;
    },
    peek: (slot) => remembered.get(slot) ?? new UnpackedEntry(table, slot),
    move(slot) {
      const known = remembered.get(slot);
      if (known !== undefined) known.body = table.body(slot);
    },
    forget: (slot) => void remembered.delete(slot),
  };
}

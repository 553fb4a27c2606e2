/**
 * Compares the ids of a request with those that are in use. A request is a repeat only when all its ids belong to one earlier send
 * with the same content. Anything in between is refused, because sending it would run a message twice or lose one.
 */
import type { RequestedEntry } from "./entries.ts";
import type { KnownEntry } from "./store.ts";

/** Classification of a request by its ids. */
export type RequestClass =
  | { readonly kind: "new" }
  /** The request repeats an earlier send. */
  | { readonly kind: "repeat"; readonly state: KnownEntry["state"] }
  /** A different decision on the same tool call was sent before. */
  | { readonly kind: "decided"; readonly entries: readonly RequestedEntry[] }
  /** Ids belong to another body, or only some of them are known. */
  | { readonly kind: "conflict"; readonly entries: readonly RequestedEntry[] };

/**
 * Classifies a request. A new `Idempotency-Key` with known ids does not make it a new request, because the ids alone identify it.
 *
 * @param known those of the request's ids that are in use
 */
export function classifyRequest(entries: readonly RequestedEntry[], known: readonly KnownEntry[]): RequestClass {
  const [first] = known;
  if (first === undefined) return { kind: "new" };
  const knownById = new Map(known.map((entry) => [entry.id, entry]));
  const inUse = entries.filter(({ id }) => knownById.has(id));
  const differs = ({ id, fingerprint }: RequestedEntry): boolean => knownById.get(id)?.fingerprint !== fingerprint;

  const decided = inUse.filter((entry) => entry.kind === "decision" && differs(entry));
  if (decided.length > 0) return { kind: "decided", entries: decided };
  const other = inUse.filter(differs);
  if (other.length > 0) return { kind: "conflict", entries: other };
  const isWhole = entries.every(({ id, kind }) => kind === "key" || knownById.has(id));
  const isOneSend = known.every(({ sendId }) => sendId === first.sendId);
  return isWhole && isOneSend ? { kind: "repeat", state: first.state } : { kind: "conflict", entries: inUse };
}

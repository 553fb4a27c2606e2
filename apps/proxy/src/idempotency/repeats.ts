/**
 * Repeats of a send: which request is one, and the response that it gets. A request is a repeat only when all its ids belong to one earlier send with
 * the same content. Anything in between is refused, because sending it would run a message twice or lose one.
 */
import { type PlainHeaders, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { parseJsonObject } from "../lib/json.ts";
import type { RequestedEntry } from "./entries.ts";
import type { KnownEntry, SendResult } from "./store.ts";

/** Classification of a request by its ids. */
export type RequestClass =
  | { readonly kind: "new" }
  /** The request repeats an earlier send. */
  | { readonly kind: "repeat"; readonly state: KnownEntry["state"] }
  /** A different decision on the same tool call was sent before: 409 `approval_decided`. */
  | { readonly kind: "decided"; readonly entries: readonly RequestedEntry[] }
  /** Ids belong to another body, or only some of them are known: 422 `message_id_reused`. */
  | { readonly kind: "conflict"; readonly entries: readonly RequestedEntry[] };

/**
 * Classifies a request. A new `Idempotency-Key` with known ids does not make it a new request, because the ids alone identify it.
 *
 * @param known those of the request's ids that are in use
 */
export function classifyRequest(entries: readonly RequestedEntry[], known: readonly KnownEntry[]): RequestClass {
  const knownById = new Map(known.map((entry) => [entry.id, entry]));
  const own = withoutOtherRequests(entries, known);
  const inUse = own.filter(({ id }) => knownById.has(id));
  const differs = ({ id, fingerprint }: RequestedEntry): boolean => knownById.get(id)?.fingerprint !== fingerprint;
  const sends = new Map(inUse.flatMap(({ id }) => knownById.get(id) ?? []).map((entry) => [entry.sendId, entry]));
  const [first] = sends.values();
  if (first === undefined) return { kind: "new" };

  const decided = inUse.filter((entry) => entry.kind === "decision" && differs(entry));
  if (decided.length > 0) return { kind: "decided", entries: decided };
  const other = inUse.filter(differs);
  if (other.length > 0) return { kind: "conflict", entries: other };
  // Of a decision on a request, one of its two ids is enough.
  const members = new Set(inUse.map(({ member }) => member));
  const isWhole = own.every(({ kind, member }) => kind === "key" || members.has(member));
  return isWhole && sends.size === 1 ? { kind: "repeat", state: first.state } : { kind: "conflict", entries: inUse };
}

/** Leaves out the tool calls of decisions that are in use for another decision: its request may be another one, which has an id of its own. */
export function withoutOtherRequests(
  entries: readonly RequestedEntry[],
  known: readonly KnownEntry[],
): readonly RequestedEntry[] {
  const isOther = ({ id, fingerprint }: RequestedEntry): boolean =>
    known.some((entry) => entry.id === id && entry.fingerprint !== fingerprint);
  return entries.filter((entry) => entry.kind !== "tool_call" || !isOther(entry));
}

/** The longest body that is stored unchanged, in UTF-16 code units. */
const maxBodyLength = 16_384;
/** The longest text of a reduced body, in UTF-16 code units. */
const maxTextLength = 4_096;

/** Header fields that also apply to a repeat. Others, such as rate limits, belong to one request. */
const storedFields = ["content-type", "x-should-retry"] as const;

/** Returns the stored part of a response. A longer success is reduced to the members of the API. */
export function toStoredResult({ status, headers, body }: PlainResponse): SendResult {
  const stored: Record<string, string> = {};
  for (const name of storedFields) {
    const value = headers[name];
    if (value !== undefined) stored[name] = value;
  }
  const text = typeof body === "string" ? body : decoder.decode(body ?? undefined);
  return { status, headers: stored, body: text.length <= maxBodyLength ? text : reduceBody(text) };
}

const decoder = new TextDecoder();

function reduceBody(text: string): string {
  const { success, message, disposition } = parseJsonObject(text) ?? {};
  return JSON.stringify({
    success,
    message: shorten(message),
    ...(disposition !== undefined && { disposition: shorten(disposition) }),
  });
}

function shorten(value: unknown): unknown {
  return typeof value === "string" ? value.slice(0, maxTextLength).toWellFormed() : undefined;
}

/** Returns the response to a repeat of a send that has ended, with `Idempotency-Replayed: true`; `null` while it is in progress. */
export function replayResponse(state: KnownEntry["state"]): PlainResponse | null {
  switch (state.kind) {
    case "in_progress":
      return null;
    case "finished":
      return { ...state.result, headers: { ...state.result.headers, ...replayed } };
    case "unknown":
      // The process that sent it ended before it knew the outcome.
      return problemResponse("delivery_unknown", { headers: replayed, members: { delivery: "unknown" } });
  }
}

const replayed: PlainHeaders = { "idempotency-replayed": "true" };

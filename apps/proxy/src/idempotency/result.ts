/** The stored part of a response to a send, and the response to repeats. */
import { type PlainHeaders, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { parseJsonObject } from "../lib/json.ts";
import type { KnownEntry, SendResult } from "./store.ts";

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

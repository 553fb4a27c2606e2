import { appendCacheStatus } from "../fields/cache-status.ts";
import { type HeaderRecord, withoutFields } from "../fields/header-record.ts";
import type { CacheRequest } from "./cache-request.ts";
import { isNotModified } from "./is-not-modified.ts";
import { selectRange } from "./select-range.ts";
import type { StoredResponse } from "./stored-response.ts";

/** An answer, ready to be sent. */
export interface PreparedAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** `null` for HEAD, 304 and 416. Never to be written to. */
  readonly body: Uint8Array | null;
}

/** What a 304 leaves out: it describes what the client has already (RFC 9110, 15.4.5). */
const representationFields: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-language",
  "content-length",
  "content-range",
  "content-type",
]);

/**
 * Makes of a stored answer what this request gets: all of it, no body for HEAD, 304 when the client has it, or the range it asks for.
 *
 * @param ageMs `null` for one that was not stored before: its `Age` is what it came with
 * @param cacheStatus our entry of `Cache-Status`; empty for none
 */
export function prepareAnswer(
  request: CacheRequest,
  stored: StoredResponse,
  ageMs: number | null,
  nowMs: number,
  cacheStatus: string,
): PreparedAnswer {
  const answer: Record<string, string> = { ...stored.headers };
  if (ageMs !== null) answer["age"] = String(Math.floor(ageMs / 1_000));
  if (cacheStatus !== "") answer["cache-status"] = appendCacheStatus(stored.headers["cache-status"], cacheStatus);
  const { method, headers } = request;
  if (isConditional(headers) && isNotModified(headers, stored, nowMs)) {
    return { status: 304, headers: withoutFields(answer, representationFields), body: null };
  }
  if (method === "HEAD") return { status: stored.status, headers: answer, body: null };
  return headers["range"] === undefined
    ? { status: stored.status, headers: answer, body: stored.body }
    : prepareRange(headers, stored, nowMs, answer);
}

function isConditional(headers: HeaderRecord): boolean {
  return headers["if-none-match"] !== undefined || headers["if-modified-since"] !== undefined;
}

function prepareRange(
  headers: HeaderRecord,
  stored: StoredResponse,
  nowMs: number,
  answer: Record<string, string>,
): PreparedAnswer {
  const range = selectRange(headers, stored, nowMs);
  const { status, body } = stored;
  if (range === null) return { status, headers: answer, body };
  if (range === "unsatisfiable") {
    const rest = withoutFields(answer, representationFields);
    return {
      status: 416,
      headers: { ...rest, "content-range": `bytes */${body.length}`, "content-length": "0" },
      body: null,
    };
  }
  const { first, last } = range;
  answer["content-range"] = `bytes ${first}-${last}/${body.length}`;
  answer["content-length"] = String(last - first + 1);
  return { status: 206, headers: answer, body: body.subarray(first, last + 1) };
}

/** The response that a request gets from a stored one: all of it, no body for HEAD, 304, 416 or one byte range (RFC 9110, 13 and 14). */
import { appendCacheStatus } from "../engine/cache-status.ts";
import { type HeaderRecord, withoutFields } from "../fields/header-record.ts";
import type { CacheEntry } from "../ports.ts";
import type { CacheRequest } from "./messages.ts";
import { announcedLength } from "./storing.ts";
import { ifRangeHolds, isNotModified } from "./validation.ts";

/** A response that is ready to be sent. */
export interface PreparedResponse {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** `null` for HEAD, 304 and 416. Do not write to it. */
  readonly body: Uint8Array | null;
}

/** The fields that a 304 omits, because they describe what the client already has (RFC 9110, 15.4.5). */
const representationFields: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-language",
  "content-length",
  "content-range",
  "content-type",
]);

/**
 * Prepares a stored response for a request.
 *
 * @param ageMs `null` for a response that was just received: it keeps its own `Age`
 * @param cacheStatus the entry to add to `Cache-Status`; empty for none
 */
export function prepareResponse(
  request: CacheRequest,
  stored: CacheEntry,
  ageMs: number | null,
  nowMs: number,
  cacheStatus: string,
): PreparedResponse {
  const fields: Record<string, string> = { ...stored.headers };
  if (ageMs !== null) fields["age"] = String(Math.floor(ageMs / 1_000));
  if (cacheStatus !== "") fields["cache-status"] = appendCacheStatus(stored.headers["cache-status"], cacheStatus);
  const { method, headers } = request;
  if (isConditional(headers) && isNotModified(headers, stored, nowMs)) {
    return { status: 304, headers: withoutFields(fields, representationFields), body: null };
  }
  if (method === "HEAD") {
    // Some servers state a length of 0 for a response to HEAD without a length.
    if (stored.body.length > 0 && hasItsCoding(stored)) fields["content-length"] ??= String(stored.body.length);
    return { status: stored.status, headers: fields, body: null };
  }
  return headers["range"] === undefined
    ? { status: stored.status, headers: fields, body: stored.body }
    : prepareRange(headers, stored, nowMs, fields);
}

function isConditional(headers: HeaderRecord): boolean {
  return headers["if-none-match"] !== undefined || headers["if-modified-since"] !== undefined;
}

/**
 * False if the body may have been decoded by `fetch`, which leaves coding and length in the fields. Ranges and a strong `ETag` do not apply to the
 * bytes of a decoded body.
 */
function hasItsCoding({ headers, body }: CacheEntry): boolean {
  return headers["content-encoding"] === undefined || announcedLength({ headers }) === body.length;
}

function prepareRange(
  headers: HeaderRecord,
  stored: CacheEntry,
  nowMs: number,
  fields: Record<string, string>,
): PreparedResponse {
  const { status, body } = stored;
  const applies = status === 200 && hasItsCoding(stored) && ifRangeHolds(headers["if-range"], stored, nowMs);
  const range = applies ? parseRange(headers["range"] ?? "", body.length) : null;
  if (range === null) return { status, headers: fields, body };
  if (range === "unsatisfiable") {
    const rest = withoutFields(fields, representationFields);
    return {
      status: 416,
      headers: { ...rest, "content-range": `bytes */${body.length}`, "content-length": "0" },
      body: null,
    };
  }
  const { first, last } = range;
  fields["content-range"] = `bytes ${first}-${last}/${body.length}`;
  fields["content-length"] = String(last - first + 1);
  return { status: 206, headers: fields, body: body.subarray(first, last + 1) };
}

/** A range of bytes, both ends included. */
export interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Parses `Range` for a body of a given length (RFC 9110, 14.1.2): one range, `unsatisfiable`, or `null` to send the whole body, such as for a
 * malformed field, another unit or several ranges.
 */
export function parseRange(value: string, length: number): ByteRange | "unsatisfiable" | null {
  const match = /^bytes=[\t ]*([0-9]*)-([0-9]*)[\t ]*$/i.exec(value);
  if (match === null) return null;
  const [, from = "", to = ""] = match;
  if (from === "") {
    if (to === "") return null;
    const suffix = Number(to);
    return suffix === 0 || length === 0 ? "unsatisfiable" : { first: Math.max(0, length - suffix), last: length - 1 };
  }
  const [first, last] = [Number(from), to === "" ? length - 1 : Number(to)];
  if (to !== "" && last < first) return null;
  return first >= length ? "unsatisfiable" : { first, last: Math.min(last, length - 1) };
}

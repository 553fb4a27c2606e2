import { listsTag } from "../fields/entity-tags.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import { parseHttpDate } from "../fields/parse-http-date.ts";
import type { StoredResponse } from "./stored-response.ts";

/**
 * Whether a client has what is stored, so that 304 says it all (RFC 9111, 4.3.2). `If-None-Match` counts before `If-Modified-Since`; an answer
 * without `Last-Modified` is as old as its `Date`.
 */
export function isNotModified(headers: HeaderRecord, stored: StoredResponse, nowMs: number): boolean {
  if (stored.status !== 200) return false;
  const ifNoneMatch = headers["if-none-match"];
  if (ifNoneMatch !== undefined) return listsTag(ifNoneMatch, stored.headers["etag"]);
  const sinceMs = parseHttpDate(headers["if-modified-since"], nowMs);
  if (sinceMs === null) return false;
  const { date, "last-modified": lastModified } = stored.headers;
  const changedMs = parseHttpDate(lastModified, nowMs) ?? parseHttpDate(date, nowMs) ?? stored.receivedAtMs;
  return changedMs <= sinceMs;
}

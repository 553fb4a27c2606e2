import { isStrongTag } from "../fields/entity-tags.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import { type ByteRange, parseRange } from "../fields/parse-range.ts";
import { parseHttpDate } from "../fields/parse-http-date.ts";
import type { StoredResponse } from "./stored-response.ts";

/** The part of a stored answer that a request asks for; `null` for all of it (RFC 9110, 14.2). */
export function selectRange(
  headers: HeaderRecord,
  stored: StoredResponse,
  nowMs: number,
): ByteRange | "unsatisfiable" | null {
  const range = headers["range"];
  if (range === undefined || stored.status !== 200) return null;
  if (!conditionHolds(headers["if-range"], stored, nowMs)) return null;
  return parseRange(range, stored.body.length);
}

/** `If-Range` needs a strong validator; a date is one when it is older than the answer by a second (RFC 9110, 13.1.5 and 8.8.2.2). */
function conditionHolds(ifRange: string | undefined, { headers }: StoredResponse, nowMs: number): boolean {
  if (ifRange === undefined) return true;
  if (isStrongTag(ifRange)) return ifRange === headers["etag"];
  const [modifiedMs, dateMs] = [parseHttpDate(headers["last-modified"], nowMs), parseHttpDate(headers["date"], nowMs)];
  if (modifiedMs === null || dateMs === null || modifiedMs > dateMs - 1_000) return false;
  return ifRange === headers["last-modified"];
}

/**
 * Validation: asking the origin whether a stored response is still current, updating it from a 304 or HEAD response, and evaluating the client's own
 * conditions (RFC 9111, 3.2 and 4.3; RFC 9110, 8.8 and 13.1).
 */
import { type HeaderRecord, withoutConnectionFields, withoutFields } from "../fields/header-record.ts";
import { parseHttpDate } from "../fields/http-date.ts";
import type { CacheEntry } from "../ports.ts";

const conditionFields: ReadonlySet<string> = new Set(["if-modified-since", "if-none-match", "if-range", "range"]);
const unmergedFields: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
]);

/**
 * The request fields to validate a stored response with (RFC 9111, 4.3.1). The client's conditions and range are left out; they are evaluated
 * against the validated response.
 */
export function conditionalHeaders(headers: HeaderRecord, stored: HeaderRecord): HeaderRecord {
  const { etag, "last-modified": lastModified } = stored;
  return {
    ...withoutFields(headers, conditionFields),
    ...(etag === undefined ? {} : { "if-none-match": etag }),
    ...(lastModified === undefined ? {} : { "if-modified-since": lastModified }),
  };
}

/** True if a 304 or HEAD response is about the stored response (RFC 9111, 4.3.4). Only one stored response is validated at a time. */
export function validatorsAgree(stored: HeaderRecord, received: HeaderRecord): boolean {
  const [tag, storedTag] = [received["etag"], stored["etag"]];
  if (tag !== undefined && storedTag !== undefined) {
    return isStrongTag(tag) ? tag === storedTag : tagsMatchWeakly(tag, storedTag);
  }
  const [modified, storedModified] = [received["last-modified"], stored["last-modified"]];
  if (modified !== undefined) return modified === storedModified;
  return tag === undefined;
}

/**
 * Updates the stored fields with the received ones (RFC 9111, 3.2). Fields that describe the stored bytes are kept. If no `Date` was received
 * it is removed, because the old one would make the response look old.
 */
export function mergeHeaders(stored: HeaderRecord, received: HeaderRecord): HeaderRecord {
  const { date: _, ...kept } = stored;
  return { ...kept, ...receivedFields(received) };
}

/**
 * Returns the fields for the client whose request a 304 validated. They include fields that must not be stored, such as fields of
 * `private="x"` (RFC 9111, 5.2.2.7) and cookies, because these are meant for this client.
 */
export function validatedHeaders(updated: HeaderRecord, received: HeaderRecord): HeaderRecord {
  return { ...updated, ...receivedFields(received) };
}

/** The received fields that do not describe the stored bytes. */
function receivedFields(received: HeaderRecord): HeaderRecord {
  return withoutFields(withoutConnectionFields(received), unmergedFields);
}

/**
 * True if a HEAD response confirms the stored GET response, false if it disagrees (RFC 9111, 4.3.5); `null` if it has no validator and so proves
 * nothing: another body may have the same length.
 */
export function headAgrees(stored: CacheEntry, status: number, received: HeaderRecord): boolean | null {
  const { etag, "last-modified": modified, "content-length": length } = received;
  if (status !== stored.status || !validatorsAgree(stored.headers, received)) return false;
  if (length !== undefined && length !== (stored.headers["content-length"] ?? String(stored.body.length))) return false;
  return etag !== undefined || modified !== undefined || null;
}

/**
 * True if the client already has the stored response, so that 304 is enough (RFC 9111, 4.3.2). `If-None-Match` takes precedence over
 * `If-Modified-Since`. Without `Last-Modified`, the `Date` of the response counts.
 */
export function isNotModified(headers: HeaderRecord, stored: CacheEntry, nowMs: number): boolean {
  if (stored.status !== 200) return false;
  const ifNoneMatch = headers["if-none-match"];
  if (ifNoneMatch !== undefined) return listsTag(ifNoneMatch, stored.headers["etag"]);
  const sinceMs = parseHttpDate(headers["if-modified-since"], nowMs);
  if (sinceMs === null) return false;
  const { date, "last-modified": lastModified } = stored.headers;
  const changedMs = parseHttpDate(lastModified, nowMs) ?? parseHttpDate(date, nowMs) ?? stored.receivedAtMs;
  return changedMs <= sinceMs;
}

/** True if a range condition holds. `If-Range` needs a strong validator; a date is strong if it is a second older than the response (RFC 9110, 13.1.5). */
export function ifRangeHolds(ifRange: string | undefined, { headers }: CacheEntry, nowMs: number): boolean {
  if (ifRange === undefined) return true;
  if (isStrongTag(ifRange)) return ifRange === headers["etag"];
  const [modifiedMs, dateMs] = [parseHttpDate(headers["last-modified"], nowMs), parseHttpDate(headers["date"], nowMs)];
  if (modifiedMs === null || dateMs === null || modifiedMs > dateMs - 1_000) return false;
  return ifRange === headers["last-modified"];
}

// Empty elements before a tag are part of its match (RFC 9110, 5.6.1.2).
const listedTag = /[\t ,]*((?:W\/)?"[^"]*"|[^\t ,"]+)[\t ]*(?:,|$)/gy;

/**
 * True if `If-None-Match` lists a tag, by weak comparison, or is `*` (RFC 9110, 8.8.3.2). Tags may contain commas and have no escapes, so this is
 * not an ordinary list. A tag without quotes matches only itself.
 */
export function listsTag(ifNoneMatch: string, tag: string | undefined): boolean {
  if (ifNoneMatch.trim() === "*") return true;
  if (tag === undefined) return false;
  if (ifNoneMatch === tag) return true;
  for (const match of ifNoneMatch.matchAll(listedTag)) {
    if (tagsMatchWeakly(match[1] ?? "", tag)) return true;
  }
  return false;
}

function isStrongTag(tag: string): boolean {
  return tag.startsWith('"');
}

function tagsMatchWeakly(left: string, right: string): boolean {
  return opaqueTag(left) === opaqueTag(right);
}

function opaqueTag(tag: string): string {
  return tag.startsWith("W/") ? tag.slice(2) : tag;
}

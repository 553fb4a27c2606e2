/** Invalidation by unsafe requests (RFC 9111, 4.4) and by groups (RFC 9875). Everything stays in the request's partition. */
import type { Invalidation } from "../engine/strategy.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import { parseItems } from "../fields/structured-field.ts";
import { type CacheTarget, cacheKey, groupKey } from "../key.ts";
import { type CacheRequest, keyOf, type ResponseHead } from "./messages.ts";

const safeMethods: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "QUERY",
  "PROPFIND",
  "REPORT",
  "SEARCH",
]);

/** True for a method that may change its target, including every unknown method (RFC 9110, 9.2.1). */
export function isUnsafe(method: string): boolean {
  return !safeMethods.has(method);
}

/**
 * The URLs that a response to an unsafe request invalidates: the target, and `Location` and `Content-Location` at the same origin. An error
 * invalidates nothing.
 */
export function invalidatedUrls(url: string, status: number, headers: HeaderRecord): readonly string[] {
  if (status < 200 || status > 399) return [];
  const { origin } = new URL(url);
  const named = [headers["location"], headers["content-location"]].flatMap((location) => {
    if (location === undefined || !URL.canParse(location, url)) return [];
    const target = new URL(location, url);
    return target.origin === origin ? [target.href] : [];
  });
  return [...new Set([url, ...named])];
}

/** The keys and groups that a response to an unsafe request invalidates. */
export function invalidationOf(request: CacheRequest, { status, headers }: ResponseHead): Invalidation {
  const urls = invalidatedUrls(request.url, status, headers);
  return {
    keys: urls.map((url) => (url === request.url ? keyOf(request) : cacheKey({ ...request, url }))),
    groups: urls.length === 0 ? [] : invalidatedGroups(headers, request),
  };
}

/** RFC 9875 requires support for at least 32 groups of at least 32 characters. */
const maximumGroups = 128;
const maximumLength = 256;
const noGroups: readonly string[] = [];

/** Keys of the groups that a response belongs to (RFC 9875, 2). */
export function groupsOf(headers: HeaderRecord, target: CacheTarget): readonly string[] {
  return readGroups(headers["cache-groups"], target);
}

/** Keys of the groups that a response to an unsafe request invalidates (RFC 9875, 3). */
export function invalidatedGroups(headers: HeaderRecord, target: CacheTarget): readonly string[] {
  return readGroups(headers["cache-group-invalidation"], target);
}

function readGroups(value: string | undefined, target: CacheTarget): readonly string[] {
  const items = value === undefined ? null : parseItems(value);
  if (items === null) return noGroups;
  const names = items.flatMap((item) =>
    item.kind === "string" && item.value.length <= maximumLength ? [item.value] : [],
  );
  return [...new Set(names)].slice(0, maximumGroups).map((name) => groupKey(target, name));
}

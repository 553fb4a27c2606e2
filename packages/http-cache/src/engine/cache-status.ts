/**
 * The cache's entry in `Cache-Status` (RFC 9211): its name, whether the request was a hit or why it was forwarded, the remaining freshness, and
 * a detail token. Parameters are written in the order of RFC 9211, 2.
 */
import type { Forwarded, Storage, StoredUse } from "./strategy.ts";

/** The entry for a response from the store. `forwarded` is `null` for a plain hit. */
export function storedStatus(name: string, { reason, ttlMs }: StoredUse, forwarded: Forwarded | null): string {
  const ttlSeconds = Math.floor(ttlMs / 1_000);
  if (forwarded === null) {
    const hit = `${name}; hit; ttl=${ttlSeconds}`;
    return reason === "fresh" ? hit : `${hit}; detail=${reason}`;
  }
  const detail = forwarded.isCollapsed === true ? null : reason;
  return format(name, forwarded, forwarded.errorStatus ?? null, ttlSeconds, false, detail);
}

/** The entry for a response that was fetched. The detail defaults to the reason why it was not stored. */
export function fetchedStatus(
  name: string,
  forwarded: Forwarded,
  status: number,
  { entry, refusal }: Storage,
  detail: string | null = refusal,
): string {
  const isStored = entry !== null && refusal === null;
  const ttlSeconds = isStored ? Math.floor((entry.freshForMs - entry.initialAgeMs) / 1_000) : null;
  return format(name, forwarded, status, ttlSeconds, isStored, detail);
}

function format(
  name: string,
  { reason, isCollapsed }: Forwarded,
  forwardStatus: number | null,
  ttlSeconds: number | null,
  isStored: boolean,
  detail: string | null,
): string {
  let entry = `${name}; fwd=${reason}`;
  if (forwardStatus) entry += `; fwd-status=${forwardStatus}`;
  if (ttlSeconds !== null) entry += `; ttl=${ttlSeconds}`;
  if (isStored) entry += "; stored";
  if (isCollapsed !== null) entry += isCollapsed ? "; collapsed" : "; collapsed=?0";
  return detail === null ? entry : `${entry}; detail=${detail}`;
}

/** Adds the entry after the entries of caches closer to the origin. */
export function appendCacheStatus(received: string | undefined, entry: string): string {
  return received === undefined || received === "" ? entry : `${received}, ${entry}`;
}

/**
 * Checks the name of a cache, which is a token (RFC 9651, 3.3.4).
 *
 * @throws TypeError if it is not a token
 */
export function checkCacheName(name: string): void {
  if (!/^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/.test(name)) throw new TypeError(`name must be a token: ${name}`);
}

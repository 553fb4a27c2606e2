import type { CacheEntry } from "../src/index.ts";

/** A stored response that is fresh for a minute, without variants and groups. */
export function entryOf(receivedAtMs: number, changes: Partial<CacheEntry>): CacheEntry {
  return {
    status: 200,
    headers: { etag: '"a"' },
    body: new Uint8Array(1),
    vary: [],
    variant: [],
    receivedAtMs,
    initialAgeMs: 0,
    freshForMs: 60_000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    validatesAlways: false,
    isNeverStale: false,
    isImmutable: false,
    keepUntilMs: receivedAtMs + 60_000,
    groups: [],
    ...changes,
  };
}

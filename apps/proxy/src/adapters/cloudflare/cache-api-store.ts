import { type CacheEntry, type CacheStore, encodeKey } from "@letta-environments/http-cache";
import type { Clock, Sha256 } from "@letta-environments/platform";
import { decodeEntry, encodeEntry } from "./cache-entry.ts";

/** The part of a Cache API cache that the store uses; `caches.open(...)` returns one. */
export interface WebCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
}

/** The dependencies of the store. */
export interface CacheApiStoreOptions {
  /** Called for each operation, because Workers must not use objects of another request. */
  readonly openCache: () => WebCache | Promise<WebCache>;
  readonly clock: Pick<Clock, "now">;
  readonly sha256: Sha256;
  /** Returns a unique string. */
  readonly newStamp: () => string;
}

/** A host that never resolves (RFC 6761 section 6.4). */
const origin = "https://letta-gateway.invalid";
/** The longest time that an entry is stored, in seconds: a year. Stamps are stored for a day; without them an entry is invalid. */
const maxKeepSeconds = 31_536_000;
const stampSeconds = 86_400;

/**
 * Stores responses in the Cache API of a Cloudflare data centre. The Cache API cannot delete groups. Therefore each resource and each group has a
 * stamp, which is an entry of its own, and a response is stored with the current stamps. Deleting a group deletes its stamp, and a response with a
 * missing or different stamp is ignored. Invalidation is immediate in the data centre where it was requested; elsewhere responses expire. Only the last
 * variant of a resource is stored.
 */
export function createCacheApiStore(options: CacheApiStoreOptions): CacheStore {
  const { openCache, clock, sha256, newStamp } = options;
  const entryUrl = (key: string): string => `${origin}/answers/${sha256(key)}`;
  const resourceStampUrl = (key: string): string => `${origin}/stamps/${sha256(encodeKey(["resource", key]))}`;
  const groupStampUrl = (group: string): string => `${origin}/stamps/${sha256(encodeKey(["group", group]))}`;
  const stampUrls = (key: string, { groups }: CacheEntry): readonly string[] => [
    resourceStampUrl(key),
    ...groups.map(groupStampUrl),
  ];

  async function readStamp(cache: WebCache, url: string): Promise<string | null> {
    const found = await cache.match(url);
    return found === undefined ? null : found.text();
  }

  async function stampOf(cache: WebCache, url: string): Promise<string> {
    const present = await readStamp(cache, url);
    if (present !== null) return present;
    const stamp = newStamp();
    await cache.put(url, new Response(stamp, { headers: { "cache-control": `max-age=${stampSeconds}` } }));
    return stamp;
  }

  return {
    async get(key) {
      const cache = await openCache();
      const found = await cache.match(entryUrl(key));
      if (found === undefined) return [];
      const { entry, stamps } = decodeEntry(new Uint8Array(await found.arrayBuffer()));
      if (!(entry.keepUntilMs > clock.now())) return [];
      const present = await Promise.all(stampUrls(key, entry).map((url) => readStamp(cache, url)));
      return present.every((stamp, index) => stamp !== null && stamp === stamps[index]) ? [entry] : [];
    },
    async put(key, entry) {
      const cache = await openCache();
      // Read the stamps first, so that an invalidation from here on also invalidates this entry.
      const stamps = await Promise.all(stampUrls(key, entry).map((url) => stampOf(cache, url)));
      const keepSeconds = Math.ceil((entry.keepUntilMs - clock.now()) / 1_000);
      if (keepSeconds <= 0) return;
      const headers = { "cache-control": `max-age=${Math.min(keepSeconds, maxKeepSeconds)}` };
      await cache.put(entryUrl(key), new Response(encodeEntry({ entry, stamps }), { headers }));
    },
    async delete(key) {
      const cache = await openCache();
      // Delete the stamp too, because a put in progress may already have read it.
      await Promise.all([cache.delete(resourceStampUrl(key)), cache.delete(entryUrl(key))]);
    },
    async deleteGroup(group) {
      await (await openCache()).delete(groupStampUrl(group));
    },
  };
}

import { type CacheStore, encodeKey, type StoredResponse } from "@letta-environments/http-cache";
import type { Clock, Sha256 } from "@letta-environments/platform";
import { decodeEntry, encodeEntry } from "./cache-entry.ts";

/** What is used of a cache of the Cache API; `caches.open(...)` gives one. */
export interface WebCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
}

/** What the store is made of. */
export interface CacheApiStoreOptions {
  /** Opened at each call: what belongs to one request must not be used in another. */
  readonly openCache: () => WebCache | Promise<WebCache>;
  readonly clock: Pick<Clock, "now">;
  readonly sha256: Sha256;
  /** A text that was never given before. */
  readonly newStamp: () => string;
}

/** Under this host nobody can be asked for anything (RFC 6761 section 6.4). */
const origin = "https://letta-gateway.invalid";
/** Longest time that anything is kept, in seconds: a year, and for stamps a day, since without its stamps an answer is of no use. */
const maxKeepSeconds = 31_536_000;
const stampSeconds = 86_400;

/**
 * Answers in the Cache API of a Cloudflare data centre. There is no way to delete a group in it, so each resource and each group has a stamp, an
 * entry of its own, and an answer holds the stamps of its time: forgetting a group takes its stamp away, and an answer whose stamp is gone or another
 * is none. That holds at once in the data centre where it was asked for; elsewhere answers end with their own time. Of a resource the last answer is
 * kept, whatever it varies by.
 */
export function createCacheApiStore(options: CacheApiStoreOptions): CacheStore {
  const { openCache, clock, sha256, newStamp } = options;
  const answerUrl = (key: string): string => `${origin}/answers/${sha256(key)}`;
  const resourceStampUrl = (key: string): string => `${origin}/stamps/${sha256(encodeKey(["resource", key]))}`;
  const groupStampUrl = (group: string): string => `${origin}/stamps/${sha256(encodeKey(["group", group]))}`;
  const stampUrls = (key: string, { groups }: StoredResponse): readonly string[] => [
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
      const found = await cache.match(answerUrl(key));
      if (found === undefined) return [];
      const { response, stamps } = decodeEntry(new Uint8Array(await found.arrayBuffer()));
      if (!(response.keepUntilMs > clock.now())) return [];
      const present = await Promise.all(stampUrls(key, response).map((url) => readStamp(cache, url)));
      return present.every((stamp, index) => stamp !== null && stamp === stamps[index]) ? [response] : [];
    },
    async put(key, response) {
      const cache = await openCache();
      // The stamps first: what is forgotten from here on takes this answer with it.
      const stamps = await Promise.all(stampUrls(key, response).map((url) => stampOf(cache, url)));
      const keepSeconds = Math.ceil((response.keepUntilMs - clock.now()) / 1_000);
      if (keepSeconds <= 0) return;
      const headers = { "cache-control": `max-age=${Math.min(keepSeconds, maxKeepSeconds)}` };
      await cache.put(answerUrl(key), new Response(encodeEntry({ response, stamps }), { headers }));
    },
    async delete(key) {
      const cache = await openCache();
      // The stamp too: a put that is under way has read what is deleted here.
      await Promise.all([cache.delete(resourceStampUrl(key)), cache.delete(answerUrl(key))]);
    },
    async deleteGroup(group) {
      await (await openCache()).delete(groupStampUrl(group));
    },
  };
}

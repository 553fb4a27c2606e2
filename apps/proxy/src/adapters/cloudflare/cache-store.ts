/** The store of cached responses on Workers: the Cache API, with a few copies in the memory of the isolate. Lifetimes are decided in `cache/`. */
import { type CacheEntry, type CacheStore, currentAgeMs, encodeKey } from "@letta-environments/http-cache";
import type { Clock, Sha256 } from "@letta-environments/platform";
import { createBoundedMap } from "../../lib/bounded-map.ts";

/** The part of a Cache API cache that the store uses; `caches.open(...)` returns one. */
export interface WebCache {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
}

export interface CacheApiStoreOptions {
  /** Called for each operation, because Workers must not use objects of another request. */
  readonly openCache: () => WebCache | Promise<WebCache>;
  readonly clock: Pick<Clock, "now">;
  readonly sha256: Sha256;
  readonly newStamp: () => string;
  /** Returns the larger group to which all entries of a group belong; the group itself if it is not part of another. */
  readonly wholeOf: (group: string) => string;
}

/** A host that never resolves (RFC 6761 section 6.4). */
const origin = "https://letta-gateway.invalid";
/** The longest time that an entry is stored, in seconds: a year. Stamps are stored for a day; without them an entry is invalid. */
const maxKeepSeconds = 31_536_000;
const stampSeconds = 86_400;
/** The header field that contains a stamp, because reading a body takes longer. */
const stampField = "x-stamp";

/** Responses that an isolate keeps in its own memory, and the largest body among them, in bytes: 16 MiB together. */
const maxCopies = 512;
const maxCopyBytes = 32_768;

/** The parts of a group that contains others, each with its stamp: the digits of a digest. */
const parts: readonly string[] = "0123456789abcdef".split("");

/**
 * Stores responses in the Cache API of a Cloudflare data centre. The Cache API cannot delete groups. Therefore groups have stamps, which are separate
 * entries, and a response is stored with the stamps of the time when its fetch began. Deleting a group deletes its stamp, and a response with a
 * missing or different stamp is ignored. Invalidation is immediate in the data centre where it was requested; elsewhere responses expire. Only the
 * last variant of a resource is stored.
 *
 * A read must not need a stamp for each of its groups. So a group that contains others has {@link parts}, and the groups in it share their
 * stamps: deleting a group deletes the stamp of its part, and deleting the containing one deletes them all. A read with one group in a containing one
 * therefore needs two calls, and a deletion may also invalidate other groups of the same part.
 *
 * The Cache API cannot compare while it stores. So a slow response may replace one that another isolate requested later. Its age counts from its
 * request.
 *
 * The store also keeps copies of responses in memory while they are fresh. A copy is used only after its stamps were read, so it is invalidated
 * together with the stored response, and a repeated read needs one call.
 */
export function createCacheApiStore(options: CacheApiStoreOptions): CacheStore {
  const { openCache, clock, sha256 } = options;
  const entryUrl = (key: string): string => `${origin}/answers/${sha256(key)}`;
  const { stampUrlsOf, stampUrlsIn, readStamps, stampOf } = createStamps(options);

  const copies = createBoundedMap<Copy>(maxCopies);

  function keepCopy(key: string, { entry, stamps }: StampedEntry): void {
    if (entry.body.byteLength > maxCopyBytes) copies.delete(key);
    else copies.set(key, { entry: { ...entry, body: entry.body.slice() }, stamps, stampUrls: stampUrlsOf(entry) });
  }

  /** Stores an entry with the stamps that were read before it was fetched, and reads the others now. */
  async function put(key: string, entry: CacheEntry, known: ReadonlyMap<string, string>): Promise<void> {
    const cache = await openCache();
    // Read the stamps first, so that an invalidation from here on also invalidates this entry.
    const stamps = await Promise.all(stampUrlsOf(entry).map(async (url) => known.get(url) ?? stampOf(cache, url)));
    const keepSeconds = Math.ceil((entry.keepUntilMs - clock.now()) / 1_000);
    if (keepSeconds <= 0) return;
    const headers = { "cache-control": `max-age=${Math.min(keepSeconds, maxKeepSeconds)}` };
    await cache.put(entryUrl(key), new Response(encodeEntry({ entry, stamps }), { headers }));
    keepCopy(key, { entry, stamps });
  }

  return {
    async get(key) {
      const cache = await openCache();
      const copy = copies.get(key);
      // A stale copy is not used, because another isolate may have stored a newer response.
      const isFresh = copy !== undefined && currentAgeMs(copy.entry, clock.now()) < copy.entry.freshForMs;
      const seen = isFresh ? await readStamps(cache, copy.stampUrls) : null;
      if (copy !== undefined && seen !== null && isValid(copy, seen)) return [copy.entry];
      const found = await cache.match(entryUrl(key));
      if (found === undefined) return [];
      const stored = decodeEntry(new Uint8Array(await found.arrayBuffer()));
      const { entry } = stored;
      if (!(entry.keepUntilMs > clock.now())) return [];
      // The groups of a resource do not change in practice, so its stamps are read once.
      const stampUrls = stampUrlsOf(entry);
      const isSame = seen !== null && String(copy?.stampUrls) === String(stampUrls);
      if (!isValid(stored, isSame ? seen : await readStamps(cache, stampUrls))) return [];
      keepCopy(key, stored);
      return [entry];
    },
    put: (key, entry) => put(key, entry, noStamps),
    async begin(key, groups) {
      const cache = await openCache();
      const urls = stampUrlsOf({ groups });
      const stamps = new Map(await Promise.all(urls.map(async (url) => [url, await stampOf(cache, url)] as const)));
      return async (entry) => {
        await put(key, entry, stamps);
        return true;
      };
    },
    async delete(key) {
      copies.delete(key);
      // A put in progress elsewhere may still store a response that was fetched before. It is as old as any that was stored a moment ago.
      await (await openCache()).delete(entryUrl(key));
    },
    async deleteGroup(group) {
      const cache = await openCache();
      await Promise.all(stampUrlsIn(group).map((url) => cache.delete(url)));
    },
  };
}

/** Finds, reads and creates the stamps of groups. */
function createStamps({ sha256, newStamp, wholeOf }: Pick<CacheApiStoreOptions, "sha256" | "newStamp" | "wholeOf">) {
  const stampUrl = (whole: string, part: string): string => `${origin}/stamps/${sha256(encodeKey([whole, part]))}`;
  const stampOfGroup = (group: string): string => stampUrl(wholeOf(group), sha256(group).charAt(0));

  async function readStamp(cache: WebCache, url: string): Promise<string | null> {
    return (await cache.match(url))?.headers.get(stampField) ?? null;
  }

  return {
    /** The stamps that a response with these groups needs. */
    stampUrlsOf({ groups }: Pick<CacheEntry, "groups">): readonly string[] {
      const contained = groups.filter((group) => wholeOf(group) !== group);
      return (contained.length === 0 ? groups : contained).map(stampOfGroup);
    },
    /** The stamps of a group, and of the groups in it. */
    stampUrlsIn: (group: string): readonly string[] =>
      wholeOf(group) === group ? parts.map((part) => stampUrl(group, part)) : [stampOfGroup(group)],
    readStamps: (cache: WebCache, urls: readonly string[]): Promise<readonly (string | null)[]> =>
      Promise.all(urls.map((url) => readStamp(cache, url))),
    /** The current stamp, or a new one. */
    async stampOf(cache: WebCache, url: string): Promise<string> {
      const present = await readStamp(cache, url);
      if (present !== null) return present;
      const stamp = newStamp();
      const headers = { "cache-control": `max-age=${stampSeconds}`, [stampField]: stamp };
      await cache.put(url, new Response(null, { headers }));
      return stamp;
    },
  };
}

const noStamps: ReadonlyMap<string, string> = new Map();

/** An entry with the stamps that its groups had when it was stored. It is valid while these stamps have not changed. */
export interface StampedEntry {
  readonly entry: CacheEntry;
  readonly stamps: readonly string[];
}

/** Whether an entry is valid: its stamps have not changed since it was stored. */
function isValid({ stamps }: StampedEntry, present: readonly (string | null)[]): boolean {
  return present.every((stamp, index) => stamp !== null && stamp === stamps[index]);
}

/** An entry in memory, with the addresses of its stamps. */
interface Copy extends StampedEntry {
  readonly stampUrls: readonly string[];
}

type Wire = Omit<CacheEntry, "body"> & { readonly stamps: readonly string[] };

/** The number of bytes that encode the length of the text. */
const lengthBytes = 4;

/** Encodes an entry as one block: the length of a JSON text, the text, and the body. */
export function encodeEntry({ entry: { body, ...rest }, stamps }: StampedEntry): Uint8Array<ArrayBuffer> {
  const wire: Wire = { ...rest, stamps };
  const text = new TextEncoder().encode(JSON.stringify(wire));
  const bodyOffset = lengthBytes + text.byteLength;
  const block = new Uint8Array(bodyOffset + body.byteLength);
  new DataView(block.buffer).setUint32(0, text.byteLength);
  block.set(text, lengthBytes);
  block.set(body, bodyOffset);
  return block;
}

/** Decodes a block of {@link encodeEntry}, and throws on anything else. The body is a view of the block. */
export function decodeEntry(block: Uint8Array): StampedEntry {
  const bodyOffset = lengthBytes + new DataView(block.buffer, block.byteOffset, block.byteLength).getUint32(0);
  const text = new TextDecoder().decode(block.subarray(lengthBytes, bodyOffset));
  const { stamps, ...rest } = JSON.parse(text) as Wire;
  return { entry: { ...rest, body: block.subarray(bodyOffset) }, stamps };
}

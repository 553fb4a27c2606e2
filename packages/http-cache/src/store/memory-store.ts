import { type CacheEntry, type CacheStore, type Clock, isSameVariant } from "../ports.ts";
import { createBodyArenas } from "./body-arenas.ts";
import { createEvictionQueue, hashKey, maximumUses } from "./eviction-queue.ts";
import { MemoryEntry, packHead, UnpackedEntry } from "./memory-entry.ts";

/** The bounds of a memory store. */
export interface MemoryCacheStoreOptions {
  /** Bytes of all entries: keys, fields and bodies including the largest possible waste in their blocks, and an estimate for objects. Default: 64 MiB. */
  readonly maxBytes?: number;
  /** Default: 100,000. */
  readonly maxEntries?: number;
  /** Variants of one resource; the oldest is evicted. Default: 32. */
  readonly maxVariants?: number;
  /** Decides which entries have expired. */
  readonly clock: Clock;
}

/** A synchronous {@link CacheStore} in memory. */
export interface MemoryCacheStore extends CacheStore {
  get(key: string): readonly CacheEntry[];
  put(key: string, entry: CacheEntry): void;
  delete(key: string): void;
  deleteGroup(group: string): void;
  readonly entryCount: number;
  /** The bytes that `maxBytes` limits. */
  readonly byteCount: number;
}

/** Creates an empty store. An entry larger than the whole store is not stored. */
export function createMemoryCacheStore(options: MemoryCacheStoreOptions): MemoryCacheStore {
  const { maxBytes = 67_108_864, maxEntries = 100_000, maxVariants = 32, clock } = options;
  const unpacker = createUnpacker();
  const entries = createKeyIndex(unpacker);
  const groups = createGroupIndex();
  const arenas = createBodyArenas();
  const queue = createEvictionQueue<MemoryEntry>(({ keepUntilMs }) => keepUntilMs <= clock.now());
  let entryCount = 0;
  let byteCount = 0;

  function forget(entry: MemoryEntry): void {
    entryCount--;
    byteCount -= entry.weight;
    groups.leave(entry, (entry.unpacked ?? new UnpackedEntry(entry)).groups);
    unpacker.forget(entry);
    arenas.release(entry);
    entries.remove(entry);
  }

  function remove(entry: MemoryEntry): void {
    queue.remove(entry);
    forget(entry);
  }

  /** Removes the same variant, and the oldest entry of the hash if there are too many. Returns the uses of the replaced entry, which its successor inherits. */
  function replace(key: string, hash: number, entry: CacheEntry): number {
    let uses = 0;
    for (const variant of entries.find(key, hash)) {
      if (!isSameVariant(unpacker.open(variant), entry)) continue;
      uses = variant.uses;
      remove(variant);
    }
    const sameHash = entries.withHash(hash);
    const last = sameHash.at(-1);
    // Keys that were chosen to have one hash cannot make a look-up slow either.
    if (sameHash.length >= maxVariants && last !== undefined) remove(last);
    return uses;
  }

  return {
    get entryCount() {
      return entryCount;
    },
    get byteCount() {
      return byteCount;
    },
    get(key) {
      return entries.find(key, hashKey(key)).map((entry) => {
        if (entry.uses < maximumUses) entry.uses++;
        return unpacker.open(entry);
      });
    },
    put(key, put) {
      const hash = hashKey(key);
      const uses = replace(key, hash, put);
      const head = packHead(key, put);
      const entry = new MemoryEntry(hash, put.keepUntilMs, head.length, put.body.length);
      if (entry.weight > maxBytes || maxEntries < 1) return;
      while (entryCount >= maxEntries || byteCount + entry.weight > maxBytes) {
        const evicted = queue.evict();
        if (evicted === null) break;
        forget(evicted);
      }
      arenas.write(put.body, entry, head);
      entries.add(entry);
      queue.add(entry);
      entry.uses = uses;
      entryCount++;
      byteCount += entry.weight;
      groups.join(entry, put.groups);
    },
    delete(key) {
      for (const entry of entries.find(key, hashKey(key))) remove(entry);
    },
    deleteGroup(group) {
      for (const entry of groups.members(group)) remove(entry);
    },
  };
}

/** The entries by the hash of their key. The keys themselves are in the records. */
interface KeyIndex {
  /** The variants of a key, the newest first. */
  find(key: string, hash: number): readonly MemoryEntry[];
  /** The entries of every key with a hash, the newest first. */
  withHash(hash: number): readonly MemoryEntry[];
  add(entry: MemoryEntry): void;
  remove(entry: MemoryEntry): void;
}

function createKeyIndex({ open }: Pick<Unpacker, "open">): KeyIndex {
  const newest = new Map<number, MemoryEntry>();

  function withHash(hash: number): MemoryEntry[] {
    const found: MemoryEntry[] = [];
    for (let entry = newest.get(hash) ?? null; entry !== null; entry = entry.sibling) found.push(entry);
    return found;
  }

  return {
    find: (key, hash) => withHash(hash).filter((entry) => open(entry).key === key),
    withHash,
    add(entry) {
      entry.sibling = newest.get(entry.hash) ?? null;
      newest.set(entry.hash, entry);
    },
    remove(entry) {
      const { hash, sibling } = entry;
      const newer = withHash(hash).find((other) => other.sibling === entry);
      if (newer !== undefined) newer.sibling = sibling;
      else if (sibling === null) newest.delete(hash);
      else newest.set(hash, sibling);
    },
  };
}

/** Unpacked entries that are remembered, so that a response that is read often is unpacked once. */
const maxUnpacked = 1_000;

interface Unpacker {
  open(entry: MemoryEntry): UnpackedEntry;
  forget(entry: MemoryEntry): void;
}

function createUnpacker(): Unpacker {
  const remembered = new Set<MemoryEntry>();

  function forget(entry: MemoryEntry): void {
    entry.unpacked = null;
    remembered.delete(entry);
  }

  return {
    open(entry) {
      if (entry.unpacked !== null) return entry.unpacked;
      const [oldest] = remembered;
      if (remembered.size >= maxUnpacked && oldest !== undefined) forget(oldest);
      remembered.add(entry);
      return (entry.unpacked = new UnpackedEntry(entry));
    },
    forget,
  };
}

interface GroupIndex {
  join(entry: MemoryEntry, groups: readonly string[]): void;
  leave(entry: MemoryEntry, groups: readonly string[]): void;
  /** A copy of the group's entries. */
  members(group: string): readonly MemoryEntry[];
}

/** Most groups have one member, which needs no set. */
function createGroupIndex(): GroupIndex {
  const index = new Map<string, MemoryEntry | Set<MemoryEntry>>();
  return {
    join(entry, groups) {
      for (const group of groups) {
        const members = index.get(group);
        if (members === undefined) index.set(group, entry);
        else if (members instanceof Set) members.add(entry);
        else if (members !== entry) index.set(group, new Set([members, entry]));
      }
    },
    leave(entry, groups) {
      for (const group of groups) {
        const members = index.get(group);
        if (members === entry) index.delete(group);
        if (!(members instanceof Set)) continue;
        members.delete(entry);
        if (members.size === 0) index.delete(group);
      }
    },
    members(group) {
      const members = index.get(group);
      if (members === undefined) return [];
      return members instanceof Set ? [...members] : [members];
    },
  };
}

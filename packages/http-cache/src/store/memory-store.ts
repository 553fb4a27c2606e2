import { type CacheEntry, type CacheStore, type Clock, isSameVariant } from "../ports.ts";
import { createBodyArenas } from "./body-arenas.ts";
import { createEvictionQueue, maximumUses } from "./eviction-queue.ts";
import { createInterner, MemoryEntry } from "./memory-entry.ts";

/** The bounds of a memory store. */
export interface MemoryCacheStoreOptions {
  /** Bytes of all entries: bodies including the largest possible waste in their blocks, fields, keys and an estimate for objects. Default: 64 MiB. */
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

const nothing: readonly CacheEntry[] = [];

/** Creates an empty store. An entry larger than the whole store is not stored. */
export function createMemoryCacheStore(options: MemoryCacheStoreOptions): MemoryCacheStore {
  const { maxBytes = 67_108_864, maxEntries = 100_000, maxVariants = 32, clock } = options;
  const entries = new Map<string, MemoryEntry>();
  const groups = createGroupIndex();
  const arenas = createBodyArenas();
  const intern = createInterner();
  const queue = createEvictionQueue<MemoryEntry>(({ keepUntilMs }) => keepUntilMs <= clock.now());
  let entryCount = 0;
  let byteCount = 0;

  function forget(entry: MemoryEntry): void {
    entryCount--;
    byteCount -= entry.weight;
    arenas.release(entry);
    groups.leave(entry);
    unlink(entries, entry);
  }

  function remove(entry: MemoryEntry): void {
    queue.remove(entry);
    forget(entry);
  }

  /** Removes the same variant, and the oldest one if there are too many. Returns the uses of the replaced entry, which its successor inherits. */
  function replace(key: string, entry: CacheEntry): number {
    let uses = 0;
    const variants = listVariants(entries.get(key) ?? null);
    for (const variant of variants) {
      if (!isSameVariant(variant, entry)) continue;
      uses = variant.uses;
      remove(variant);
    }
    const last = variants.at(-1);
    if (variants.length >= maxVariants && last !== undefined && !last.isReleased) remove(last);
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
      const entry = entries.get(key);
      if (entry === undefined) return nothing;
      if (entry.uses < maximumUses) entry.uses++;
      if (entry.sibling === null) return [entry];
      const variants = listVariants(entry);
      for (const variant of variants) if (variant.uses < maximumUses) variant.uses++;
      return variants;
    },
    put(key, put) {
      const uses = replace(key, put);
      const entry = new MemoryEntry(key, put, intern);
      if (entry.weight > maxBytes || maxEntries < 1) return;
      while (entryCount >= maxEntries || byteCount + entry.weight > maxBytes) {
        const evicted = queue.evict();
        if (evicted === null) break;
        forget(evicted);
      }
      arenas.write(put.body, entry);
      entry.sibling = entries.get(key) ?? null;
      entries.set(key, entry);
      queue.add(entry);
      entry.uses = uses;
      entryCount++;
      byteCount += entry.weight;
      groups.join(entry);
    },
    delete(key) {
      for (const entry of listVariants(entries.get(key) ?? null)) remove(entry);
    },
    deleteGroup(group) {
      for (const entry of groups.members(group)) remove(entry);
    },
  };
}

function listVariants(first: MemoryEntry | null): MemoryEntry[] {
  const variants: MemoryEntry[] = [];
  for (let entry = first; entry !== null; entry = entry.sibling) variants.push(entry);
  return variants;
}

/** Removes an entry from the variants of its key. */
function unlink(entries: Map<string, MemoryEntry>, entry: MemoryEntry): void {
  const first = entries.get(entry.key);
  if (first === entry) {
    if (entry.sibling === null) entries.delete(entry.key);
    else entries.set(entry.key, entry.sibling);
    return;
  }
  for (let other = first ?? null; other !== null; other = other.sibling)
    if (other.sibling === entry) other.sibling = entry.sibling;
}

interface GroupIndex {
  join(entry: MemoryEntry): void;
  leave(entry: MemoryEntry): void;
  /** A copy of the group's entries. */
  members(group: string): readonly MemoryEntry[];
}

function createGroupIndex(): GroupIndex {
  const groups = new Map<string, Set<MemoryEntry>>();
  return {
    join(entry) {
      for (const group of entry.groups) {
        const members = groups.get(group);
        if (members === undefined) groups.set(group, new Set([entry]));
        else members.add(entry);
      }
    },
    leave(entry) {
      for (const group of entry.groups) {
        const members = groups.get(group);
        members?.delete(entry);
        if (members?.size === 0) groups.delete(group);
      }
    },
    members: (group) => [...(groups.get(group) ?? [])],
  };
}

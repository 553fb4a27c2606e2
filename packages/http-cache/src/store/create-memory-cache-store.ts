import { isSameVariant, type StoredResponse } from "../decide/stored-response.ts";
import type { CacheStore, Clock } from "../ports.ts";
import { createBodyArenas } from "./body-arenas.ts";
import { createEvictionQueue, maximumUses } from "./eviction-queue.ts";
import { createInterner } from "./interner.ts";
import { MemoryEntry } from "./memory-entry.ts";

/** Bounds of a memory store. */
export interface MemoryCacheStoreOptions {
  /** Bytes of all entries: bodies with what their blocks waste at most, fields, keys and an estimate for objects. Default: 64 MiB. */
  readonly maxBytes?: number;
  /** Default: 100,000. */
  readonly maxEntries?: number;
  /** Variants of one resource; the oldest goes. Default: 32. */
  readonly maxVariants?: number;
  /** Tells which entries are of no use any longer. */
  readonly clock: Clock;
}

/** A {@link CacheStore} in memory; every answer of it is synchronous. */
export interface MemoryCacheStore extends CacheStore {
  get(key: string): readonly StoredResponse[];
  put(key: string, response: StoredResponse): void;
  delete(key: string): void;
  deleteGroup(group: string): void;
  readonly entryCount: number;
  /** What `maxBytes` bounds. */
  readonly byteCount: number;
}

const nothing: readonly StoredResponse[] = [];

/** Creates an empty store. What does not fit at all is not stored. */
export function createMemoryCacheStore(options: MemoryCacheStoreOptions): MemoryCacheStore {
  const { maxBytes = 67_108_864, maxEntries = 100_000, maxVariants = 32, clock } = options;
  const entries = new Map<string, MemoryEntry>();
  const groups = new Map<string, Set<MemoryEntry>>();
  const arenas = createBodyArenas();
  const intern = createInterner();
  const queue = createEvictionQueue<MemoryEntry>(({ keepUntilMs }) => keepUntilMs <= clock.now());
  let entryCount = 0;
  let byteCount = 0;

  function forget(entry: MemoryEntry): void {
    entryCount--;
    byteCount -= entry.weight;
    arenas.release(entry);
    for (const group of entry.groups) leaveGroup(group, entry);
    unlink(entry);
  }

  function unlink(entry: MemoryEntry): void {
    const first = entries.get(entry.key);
    if (first === entry) {
      if (entry.sibling === null) entries.delete(entry.key);
      else entries.set(entry.key, entry.sibling);
      return;
    }
    for (let other = first ?? null; other !== null; other = other.sibling)
      if (other.sibling === entry) other.sibling = entry.sibling;
  }

  function leaveGroup(group: string, entry: MemoryEntry): void {
    const members = groups.get(group);
    members?.delete(entry);
    if (members?.size === 0) groups.delete(group);
  }

  function joinGroup(group: string, entry: MemoryEntry): void {
    const members = groups.get(group);
    if (members === undefined) groups.set(group, new Set([entry]));
    else members.add(entry);
  }

  function remove(entry: MemoryEntry): void {
    queue.remove(entry);
    forget(entry);
  }

  /** Makes place under the key: for the same variant, and for one more. What was in use stays proven by its successor. */
  function replace(key: string, response: StoredResponse): number {
    let uses = 0;
    const variants = listVariants(entries.get(key) ?? null);
    for (const variant of variants) {
      if (!isSameVariant(variant, response)) continue;
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
    put(key, response) {
      const uses = replace(key, response);
      const entry = new MemoryEntry(key, response, intern);
      if (entry.weight > maxBytes || maxEntries < 1) return;
      while (entryCount >= maxEntries || byteCount + entry.weight > maxBytes) {
        const evicted = queue.evict();
        if (evicted === null) break;
        forget(evicted);
      }
      arenas.write(response.body, entry);
      entry.sibling = entries.get(key) ?? null;
      entries.set(key, entry);
      queue.add(entry);
      entry.uses = uses;
      entryCount++;
      byteCount += entry.weight;
      for (const group of entry.groups) joinGroup(group, entry);
    },
    delete(key) {
      for (const entry of listVariants(entries.get(key) ?? null)) remove(entry);
    },
    deleteGroup(group) {
      for (const entry of [...(groups.get(group) ?? [])]) remove(entry);
    },
  };
}

function listVariants(first: MemoryEntry | null): MemoryEntry[] {
  const variants: MemoryEntry[] = [];
  for (let entry = first; entry !== null; entry = entry.sibling) variants.push(entry);
  return variants;
}

/** The store in memory, composed of table, records, indexes and eviction, which are in the files beside it. */
import { type CacheEntry, type CacheStore, type Clock, haveSameItems, isSameVariant } from "../ports.ts";
import { EntryTable, hashKey } from "./entry-table.ts";
import { createEvictionQueue, type EvictionQueue, maximumUses } from "./eviction-queue.ts";
import { createGroupIndex, type GroupIndex } from "./group-index.ts";
import { createKeyIndex, type KeyIndex } from "./key-index.ts";
import { blockOverhead, createRecordBlocks, type RecordBlocks } from "./record-blocks.ts";
import { createUnpacker, packHead, type Unpacker } from "./unpacked-entry.ts";

/** The bounds of a memory store. */
export interface MemoryCacheStoreOptions {
  /** Bytes of all entries: keys, fields and bodies including the maximum waste in their blocks, and an estimate for objects. Default: 64 MiB. */
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

/** Bytes of an entry in the tables and indexes, measured on Node.js. */
const entryBytes = 220;

/** Entries of a bucket that has one on average. */
const maxBucketEntries = 64;

/** The bytes that an entry counts for, from the length of its record. */
function weightOf(recordBytes: number): number {
  return Math.ceil(recordBytes * blockOverhead) + entryBytes;
}

/** Creates an empty store. An entry larger than the whole store is not stored. */
export function createMemoryCacheStore(options: MemoryCacheStoreOptions): MemoryCacheStore {
  return new MemoryStore(options);
}

class MemoryStore implements MemoryCacheStore {
  entryCount = 0;
  byteCount = 0;
  readonly #maxBytes: number;
  readonly #maxEntries: number;
  readonly #maxVariants: number;
  readonly #table = new EntryTable();
  readonly #unpacker: Unpacker = createUnpacker(this.#table);
  readonly #keys: KeyIndex = createKeyIndex(this.#table, this.#unpacker);
  readonly #groups: GroupIndex = createGroupIndex((slot) => this.#unpacker.peek(slot).groups);
  readonly #blocks: RecordBlocks = createRecordBlocks(this.#table, this.#unpacker.move);
  readonly #queue: EvictionQueue;

  constructor({ maxBytes = 67_108_864, maxEntries = 100_000, maxVariants = 32, clock }: MemoryCacheStoreOptions) {
    this.#maxBytes = maxBytes;
    this.#maxEntries = maxEntries;
    this.#maxVariants = maxVariants;
    const isExpired = (slot: number): boolean => (this.#table.keepUntilMs[slot] ?? 0) <= clock.now();
    this.#queue = createEvictionQueue(this.#table, (slot) => this.#weight(slot), isExpired);
  }

  get(key: string): readonly CacheEntry[] {
    const { uses } = this.#table;
    return this.#keys.find(key, hashKey(key)).map((slot) => {
      const before = uses[slot] ?? 0;
      if (before < maximumUses) uses[slot] = before + 1;
      return this.#unpacker.open(slot);
    });
  }

  put(key: string, put: CacheEntry): void {
    const hash = hashKey(key);
    const replaced = this.#keys.find(key, hash).find((slot) => isSameVariant(this.#unpacker.open(slot), put));
    const head = packHead(key, put);
    const weight = weightOf(head.length + put.body.length);
    if (weight > this.#maxBytes || this.#maxEntries < 1) {
      if (replaced !== undefined) this.#remove(replaced);
      return;
    }
    const uses = replaced === undefined ? 0 : (this.#table.uses[replaced] ?? 0);
    const slot = this.#slotInGroups(replaced, put.groups);
    this.#limitVariants(hash);
    this.#makeRoom(weight);
    this.#table.hash[slot] = hash;
    this.#table.keepUntilMs[slot] = put.keepUntilMs;
    this.#table.headLength[slot] = head.length;
    this.#blocks.write(slot, head, put.body);
    this.#keys.add(slot);
    this.#queue.add(slot);
    this.#table.uses[slot] = uses;
    this.entryCount++;
    this.byteCount += weight;
    if (slot !== replaced) this.#groups.join(slot, put.groups);
  }

  delete(key: string): void {
    for (const slot of this.#keys.find(key, hashKey(key))) this.#remove(slot);
  }

  deleteGroup(group: string): void {
    for (const slot of this.#groups.members(group)) this.#remove(slot);
  }

  #weight(slot: number): number {
    return weightOf(this.#table.length[slot] ?? 0);
  }

  /**
   * Removes the entry that is replaced, and returns a slot for its successor. It is the same slot if the groups are the same, so that a
   * refreshed response stays in them.
   */
  #slotInGroups(replaced: number | undefined, groups: readonly string[]): number {
    if (replaced === undefined) return this.#table.take();
    const isSame = haveSameItems(this.#unpacker.open(replaced).groups, groups);
    this.#queue.remove(replaced);
    if (!isSame) this.#groups.leave(replaced, this.#unpacker.open(replaced).groups);
    this.#giveUp(replaced);
    if (isSame) return replaced;
    this.#table.free(replaced);
    return this.#table.take();
  }

  /** Removes the oldest variant, or another entry of the bucket, if there are too many. Keys that were chosen for their hash cannot make look-ups slow. */
  #limitVariants(hash: number): void {
    const bucket = this.#keys.bucket(hash);
    const variants = bucket.filter((slot) => this.#table.hash[slot] === hash);
    const hasTooMany = variants.length >= this.#maxVariants;
    if (!hasTooMany && bucket.length < maxBucketEntries) return;
    const oldest = (hasTooMany ? variants : bucket).at(-1);
    if (oldest !== undefined) this.#remove(oldest);
  }

  /** Evicts entries until there is room for one of this weight. */
  #makeRoom(weight: number): void {
    while (this.entryCount >= this.#maxEntries || this.byteCount + weight > this.#maxBytes) {
      const evicted = this.#queue.evict();
      if (evicted === null) return;
      this.#forget(evicted);
    }
  }

  #remove(slot: number): void {
    this.#queue.remove(slot);
    this.#forget(slot);
  }

  /** Removes an entry that is no longer in a queue. */
  #forget(slot: number): void {
    this.#groups.leave(slot, this.#unpacker.peek(slot).groups);
    this.#giveUp(slot);
    this.#table.free(slot);
  }

  /** Gives up the key and the record of an entry. */
  #giveUp(slot: number): void {
    this.entryCount--;
    this.byteCount -= this.#weight(slot);
    this.#keys.remove(slot);
    this.#unpacker.forget(slot);
    this.#blocks.release(slot);
  }
}

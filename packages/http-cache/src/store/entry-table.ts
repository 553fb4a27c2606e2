/** The memory of a store: entries as numbers in arrays, and the blocks of their records. Indexes and eviction are in the files beside it. */

/** No slot: the end of a list. */
export const none = -1;

/** A block of memory to which records are appended. Its bytes are never overwritten, so a view of them stays valid even after its entry is removed. */
export interface RecordBlock {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The slots whose records were written here. Some have left since then. */
  readonly slots: number[];
  usedBytes: number;
  deadBytes: number;
}

/**
 * The numbers of all entries of a memory store, in one array for each kind of number. An entry is a slot, its index in every array: objects for 100,000
 * entries would need several times as much memory, and the garbage collector would visit each of them.
 */
export class EntryTable {
  /** From {@link hashKey}. */
  hash: Int32Array<ArrayBuffer> = new Int32Array(firstSlots);
  /** The next entry with the same hash: another variant, or rarely another key. */
  sibling: Int32Array<ArrayBuffer> = new Int32Array(firstSlots);
  /** The neighbours in the eviction queue. */
  previous: Int32Array<ArrayBuffer> = new Int32Array(firstSlots);
  next: Int32Array<ArrayBuffer> = new Int32Array(firstSlots);
  /** Uses since the entry was last considered for eviction. */
  uses: Uint8Array<ArrayBuffer> = new Uint8Array(firstSlots);
  /** Whether the entry has been used before, or was evicted too early: 0 or 1. */
  isProven: Uint8Array<ArrayBuffer> = new Uint8Array(firstSlots);
  keepUntilMs: Float64Array<ArrayBuffer> = new Float64Array(firstSlots);
  /** The record: its block, its first byte in the block, its length, and how much of it is the head before the body. */
  readonly block: RecordBlock[] = [];
  offset: Uint32Array<ArrayBuffer> = new Uint32Array(firstSlots);
  length: Uint32Array<ArrayBuffer> = new Uint32Array(firstSlots);
  headLength: Uint32Array<ArrayBuffer> = new Uint32Array(firstSlots);
  /** The free slots, linked by `next` and reused in order. */
  #firstFree = none;
  #lastFree = none;
  #freeCount = 0;
  #used = 0;

  /** Returns a slot that no entry has. */
  take(): number {
    if (this.#freeCount > spareSlots) {
      const slot = this.#firstFree;
      this.#firstFree = this.next[slot] ?? none;
      this.#freeCount--;
      return slot;
    }
    if (this.#used === this.hash.length) this.#grow();
    return this.#used++;
  }

  /** Makes the slot of a removed entry free. */
  free(slot: number): void {
    if (this.#freeCount === 0) this.#firstFree = slot;
    else this.next[this.#lastFree] = slot;
    this.#lastFree = slot;
    this.#freeCount++;
  }

  /** A view of the head of an entry. */
  head(slot: number): Uint8Array<ArrayBuffer> {
    return this.#view(slot, 0, this.headLength[slot] ?? 0);
  }

  /** A view of the body of an entry. Its bytes never change, even after the entry was removed. */
  body(slot: number): Uint8Array<ArrayBuffer> {
    const headLength = this.headLength[slot] ?? 0;
    return this.#view(slot, headLength, (this.length[slot] ?? 0) - headLength);
  }

  #view(slot: number, start: number, length: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.block[slot]?.bytes.buffer ?? nothing, (this.offset[slot] ?? 0) + start, length);
  }

  #grow(): void {
    const slots = this.hash.length * 2;
    this.hash = copyInto(new Int32Array(slots), this.hash);
    this.sibling = copyInto(new Int32Array(slots), this.sibling);
    this.previous = copyInto(new Int32Array(slots), this.previous);
    this.next = copyInto(new Int32Array(slots), this.next);
    this.uses = copyInto(new Uint8Array(slots), this.uses);
    this.isProven = copyInto(new Uint8Array(slots), this.isProven);
    this.keepUntilMs = copyInto(new Float64Array(slots), this.keepUntilMs);
    this.offset = copyInto(new Uint32Array(slots), this.offset);
    this.length = copyInto(new Uint32Array(slots), this.length);
    this.headLength = copyInto(new Uint32Array(slots), this.headLength);
  }
}

const firstSlots = 1_024;

/** Free slots that stay unused, so that no slot is reused soon after its release. `IntMap` explains why quick reuse is slow in a `Set`. */
const spareSlots = 512;
const nothing = new ArrayBuffer(0);

interface NumberArray {
  set(values: ArrayLike<number>): void;
}

function copyInto<Numbers extends NumberArray & ArrayLike<number>>(larger: Numbers, values: Numbers): Numbers {
  larger.set(values);
  return larger;
}

/** A signed 32-bit FNV-1a hash. Different keys can have the same one. */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return hash;
}

/** The order in which a full store gives up its entries. When it is full is decided in `memory-store.ts`. */
import { type EntryTable, none } from "./entry-table.ts";

/** Decides which entry is evicted next. Recording a use costs one addition. */
export interface EvictionQueue {
  add(slot: number): void;
  remove(slot: number): void;
  /** Removes and returns the least useful entry; `null` if there is none. */
  evict(): number | null;
}

const trialShare = 0.1;
export const maximumUses = 3;

/**
 * Creates an S3-FIFO-like policy with two queues. A new key is on trial in a tenth of the space, and is evicted at the end unless it was used, so a
 * scan does not displace entries in use. A proven key stays in the rest for as many rounds as it was used. A recently evicted key is proven
 * immediately. Evicted keys are remembered as 32-bit hashes in a table where newer ones overwrite older ones.
 *
 * @param weightOf the bytes of an entry
 * @param isExpired true for an entry that can no longer be used: it is evicted regardless of its uses
 */
export function createEvictionQueue(
  table: EntryTable,
  weightOf: (slot: number) => number,
  isExpired: (slot: number) => boolean,
): EvictionQueue {
  const trial = createLinkedQueue(table, weightOf);
  const proven = createLinkedQueue(table, weightOf);
  let evicted = new Int32Array(1_024);
  let count = 0;

  function remember(hash: number): void {
    if (evicted.length < count) evicted = grown(evicted);
    evicted[hash & (evicted.length - 1)] = hash;
  }

  function wasEvicted(hash: number): boolean {
    return hash !== 0 && evicted[hash & (evicted.length - 1)] === hash;
  }

  function queueOf(slot: number): LinkedQueue {
    return table.isProven[slot] === 1 ? proven : trial;
  }

  function remove(slot: number): void {
    queueOf(slot).remove(slot);
    count--;
  }

  /** Evicts the oldest entry of a queue and returns true, or gives it another round if it was used. */
  function evictUnlessUsed(slot: number): boolean {
    const uses = table.uses[slot] ?? 0;
    if (uses > 0 && !isExpired(slot)) {
      queueOf(slot).remove(slot);
      table.uses[slot] = table.isProven[slot] === 1 ? uses - 1 : 0;
      table.isProven[slot] = 1;
      proven.add(slot);
      return false;
    }
    remove(slot);
    remember(table.hash[slot] ?? 0);
    return true;
  }

  return {
    add(slot) {
      table.isProven[slot] = wasEvicted(table.hash[slot] ?? 0) ? 1 : 0;
      table.uses[slot] = 0;
      queueOf(slot).add(slot);
      count++;
    },
    remove,
    evict() {
      for (;;) {
        const isTrialFull = trial.weight > trialShare * (trial.weight + proven.weight);
        const slot = (isTrialFull ? trial.oldest() : proven.oldest()) ?? trial.oldest() ?? proven.oldest();
        if (slot === null || evictUnlessUsed(slot)) return slot;
      }
    },
  };
}

function grown(table: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(table.length * 2);
  for (const hash of table) if (hash !== 0) larger[hash & (larger.length - 1)] = hash;
  return larger;
}

/** A first-in first-out queue from which any entry can be removed. */
interface LinkedQueue {
  /** Bytes of its entries. */
  readonly weight: number;
  /** The entry that was added first; `null` if the queue is empty. */
  oldest(): number | null;
  add(slot: number): void;
  remove(slot: number): void;
}

/** Creates a queue whose links are in the table. */
function createLinkedQueue(table: EntryTable, weightOf: (slot: number) => number): LinkedQueue {
  let head = none;
  let tail = none;
  let weight = 0;

  return {
    get weight() {
      return weight;
    },
    oldest: () => (head === none ? null : head),
    add(slot) {
      table.previous[slot] = tail;
      table.next[slot] = none;
      if (tail === none) head = slot;
      else table.next[tail] = slot;
      tail = slot;
      weight += weightOf(slot);
    },
    remove(slot) {
      const previous = table.previous[slot] ?? none;
      const next = table.next[slot] ?? none;
      if (previous === none) head = next;
      else table.next[previous] = next;
      if (next === none) tail = previous;
      else table.previous[next] = previous;
      weight -= weightOf(slot);
    },
  };
}

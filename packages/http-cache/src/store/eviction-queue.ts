import { keyHash } from "./key-hash.ts";
import { createLinkedQueue, type QueueNode } from "./linked-queue.ts";

/** What the policy keeps about an entry. */
export interface EvictionNode extends QueueNode {
  readonly key: string;
  /** Uses since it was looked at last, 0 to 3. */
  uses: number;
  isProven: boolean;
}

/** Decides what is forgotten first. Telling it of a use costs one addition. */
export interface EvictionQueue<Node extends EvictionNode> {
  add(node: Node): void;
  remove(node: Node): void;
  /** Takes out the entry that is missed least; `null` when there is none. */
  evict(): Node | null;
}

const trialShare = 0.1;
export const maximumUses = 3;

/**
 * Two queues. A new key is on trial in a tenth of the space and is gone at its end unless it was used there, so a scan passes without taking
 * what is in use. A proven key goes round in the rest for as many rounds as it was used. A key that was evicted lately is proven at
 * once; that is remembered as one 32-bit hash a key in a table in which newer ones overwrite older ones.
 *
 * @param isUseless true for an entry that can serve nobody any longer: it goes as soon as it is seen
 */
export function createEvictionQueue<Node extends EvictionNode>(
  isUseless: (node: Node) => boolean,
): EvictionQueue<Node> {
  const trial = createLinkedQueue<Node>();
  const proven = createLinkedQueue<Node>();
  let evicted = new Int32Array(1_024);
  let count = 0;

  function remember(key: string): void {
    if (evicted.length < count) evicted = grown(evicted);
    const hash = keyHash(key);
    evicted[hash & (evicted.length - 1)] = hash;
  }

  function wasEvicted(key: string): boolean {
    const hash = keyHash(key);
    return hash !== 0 && evicted[hash & (evicted.length - 1)] === hash;
  }

  function remove(node: Node): void {
    (node.isProven ? proven : trial).remove(node);
    count--;
  }

  /** One step: evicts the oldest of a queue, or lets it stay for what it was used. */
  function judgeOldest(node: Node): boolean {
    if (node.uses > 0 && !isUseless(node)) {
      (node.isProven ? proven : trial).remove(node);
      node.uses = node.isProven ? node.uses - 1 : 0;
      node.isProven = true;
      proven.add(node);
      return false;
    }
    remove(node);
    remember(node.key);
    return true;
  }

  return {
    add(node) {
      node.isProven = wasEvicted(node.key);
      node.uses = 0;
      (node.isProven ? proven : trial).add(node);
      count++;
    },
    remove,
    evict() {
      for (;;) {
        const isTrialFull = trial.weight > trialShare * (trial.weight + proven.weight);
        const node = (isTrialFull ? trial.oldest() : proven.oldest()) ?? trial.oldest() ?? proven.oldest();
        if (node === null || judgeOldest(node)) return node;
      }
    },
  };
}

function grown(table: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(table.length * 2);
  for (const hash of table) if (hash !== 0) larger[hash & (larger.length - 1)] = hash;
  return larger;
}

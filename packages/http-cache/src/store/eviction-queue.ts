/** A node of a queue. Its links are in the node itself, which needs the least memory. */
export interface QueueNode {
  previous: QueueNode | null;
  next: QueueNode | null;
  /** Bytes. */
  readonly weight: number;
}

/** The eviction state of an entry. */
export interface EvictionNode extends QueueNode {
  /** From {@link hashKey}. */
  readonly hash: number;
  /** Uses since the entry was last considered for eviction, 0 to 3. */
  uses: number;
  isProven: boolean;
}

/** Decides which entry is evicted next. Recording a use costs one addition. */
export interface EvictionQueue<Node extends EvictionNode> {
  add(node: Node): void;
  remove(node: Node): void;
  /** Removes and returns the least useful entry; `null` if there is none. */
  evict(): Node | null;
}

const trialShare = 0.1;
export const maximumUses = 3;

/**
 * Creates an S3-FIFO-like policy with two queues. A new key is on trial in a tenth of the space, and is evicted at the end unless it was used, so a
 * scan does not displace entries in use. A proven key stays in the rest for as many rounds as it was used. A key that was
 * evicted recently is proven at once. Evicted keys are remembered as 32-bit hashes in a table where newer ones overwrite older ones.
 *
 * @param isExpired true for an entry that cannot be used any more: it is evicted regardless of its uses
 */
export function createEvictionQueue<Node extends EvictionNode>(
  isExpired: (node: Node) => boolean,
): EvictionQueue<Node> {
  const trial = createLinkedQueue<Node>();
  const proven = createLinkedQueue<Node>();
  let evicted = new Int32Array(1_024);
  let count = 0;

  function remember(hash: number): void {
    if (evicted.length < count) evicted = grown(evicted);
    evicted[hash & (evicted.length - 1)] = hash;
  }

  function wasEvicted(hash: number): boolean {
    return hash !== 0 && evicted[hash & (evicted.length - 1)] === hash;
  }

  function remove(node: Node): void {
    (node.isProven ? proven : trial).remove(node);
    count--;
  }

  /** Evicts the oldest node of a queue and returns true, or gives it another round if it was used. */
  function evictUnlessUsed(node: Node): boolean {
    if (node.uses > 0 && !isExpired(node)) {
      (node.isProven ? proven : trial).remove(node);
      node.uses = node.isProven ? node.uses - 1 : 0;
      node.isProven = true;
      proven.add(node);
      return false;
    }
    remove(node);
    remember(node.hash);
    return true;
  }

  return {
    add(node) {
      node.isProven = wasEvicted(node.hash);
      node.uses = 0;
      (node.isProven ? proven : trial).add(node);
      count++;
    },
    remove,
    evict() {
      for (;;) {
        const isTrialFull = trial.weight > trialShare * (trial.weight + proven.weight);
        const node = (isTrialFull ? trial.oldest() : proven.oldest()) ?? trial.oldest() ?? proven.oldest();
        if (node === null || evictUnlessUsed(node)) return node;
      }
    },
  };
}

function grown(table: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(table.length * 2);
  for (const hash of table) if (hash !== 0) larger[hash & (larger.length - 1)] = hash;
  return larger;
}

/** A 32-bit FNV-1a hash. Different keys can have the same one. */
export function hashKey(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index++) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return hash;
}

/** A first-in first-out queue from which any node can be removed. */
interface LinkedQueue<Node extends QueueNode> {
  readonly weight: number;
  /** The node that was added first; `null` if the queue is empty. */
  oldest(): Node | null;
  add(node: Node): void;
  remove(node: Node): void;
}

function createLinkedQueue<Node extends QueueNode>(): LinkedQueue<Node> {
  let head: Node | null = null;
  let tail: Node | null = null;
  let weight = 0;
  return {
    get weight() {
      return weight;
    },
    oldest: () => head,
    add(node) {
      node.previous = tail;
      node.next = null;
      if (tail === null) head = node;
      else tail.next = node;
      tail = node;
      weight += node.weight;
    },
    remove(node) {
      if (node.previous === null) head = node.next as Node | null;
      else node.previous.next = node.next;
      if (node.next === null) tail = node.previous as Node | null;
      else node.next.previous = node.previous;
      node.previous = null;
      node.next = null;
      weight -= node.weight;
    },
  };
}

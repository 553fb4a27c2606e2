/** What can be in a queue: its links lie in the node itself, which is the smallest. */
export interface QueueNode {
  previous: QueueNode | null;
  next: QueueNode | null;
  /** Bytes. */
  weight: number;
}

/** A first-in first-out queue from which a node can be taken anywhere. */
export interface LinkedQueue<Node extends QueueNode> {
  readonly weight: number;
  /** The node that is in the queue longest; `null` when it is empty. */
  oldest(): Node | null;
  add(node: Node): void;
  remove(node: Node): void;
}

/** Creates an empty {@link LinkedQueue}. */
export function createLinkedQueue<Node extends QueueNode>(): LinkedQueue<Node> {
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

/** Eviction policies that ours is compared with, by number of entries: each returns whether a key was present, and inserts it if not. */
export type Policy = (key: string) => boolean;

/** Least recently used. */
export function createLru(capacity: number): Policy {
  const entries = new Map<string, true>();
  return (key) => {
    const isHit = entries.delete(key);
    entries.set(key, true);
    if (entries.size > capacity) deleteFirst(entries);
    return isHit;
  };
}

/** First in, first out. */
export function createFifo(capacity: number): Policy {
  const entries = new Map<string, true>();
  return (key) => {
    if (entries.has(key)) return true;
    entries.set(key, true);
    if (entries.size > capacity) deleteFirst(entries);
    return false;
  };
}

/** SIEVE (Zhang et al., NSDI 2024): one queue, a bit an entry, and a hand that does not go back to the start. */
export function createSieve(capacity: number): Policy {
  const keys: (string | null)[] = [];
  const visited = new Map<string, boolean>();
  let hand = 0;
  const evict = (): void => {
    for (;;) {
      if (hand >= keys.length) hand = 0;
      const key = keys[hand];
      if (key !== null && key !== undefined) {
        if (visited.get(key) === false) {
          visited.delete(key);
          keys[hand++] = null;
          break;
        }
        visited.set(key, false);
      }
      hand++;
    }
    if (keys.length < capacity * 4) return;
    // Gaps are closed now and then; the hand stays at its entry.
    const before = keys.slice(0, hand).filter((key) => key !== null).length;
    keys.splice(0, keys.length, ...keys.filter((key) => key !== null));
    hand = before;
  };
  return (key) => {
    if (visited.has(key)) {
      visited.set(key, true);
      return true;
    }
    if (visited.size >= capacity) evict();
    keys.push(key);
    visited.set(key, false);
    return false;
  };
}

/** S3-FIFO (Yang et al., SOSP 2023): a tenth for newcomers, a main queue with counters to 3, and a memory of evicted keys as long as the main queue. */
export function createS3Fifo(capacity: number): Policy {
  const small = new Map<string, number>();
  const main = new Map<string, number>();
  const ghost = new Map<string, true>();
  const smallCapacity = Math.max(1, Math.floor(capacity / 10));
  const evictMain = (): void => {
    for (const [key, uses] of main) {
      main.delete(key);
      if (uses === 0) return;
      main.set(key, uses - 1);
    }
  };
  const evictSmall = (): void => {
    for (const [key, uses] of small) {
      small.delete(key);
      if (uses > 1) {
        main.set(key, 0);
        if (main.size > capacity - smallCapacity) return evictMain();
        continue;
      }
      ghost.set(key, true);
      if (ghost.size > capacity - smallCapacity) deleteFirst(ghost);
      return;
    }
  };
  return (key) => {
    const queue = small.has(key) ? small : main;
    const uses = queue.get(key);
    if (uses !== undefined) {
      queue.set(key, Math.min(3, uses + 1));
      return true;
    }
    if (small.size + main.size >= capacity) {
      if (small.size >= smallCapacity) evictSmall();
      else evictMain();
    }
    (ghost.delete(key) ? main : small).set(key, 0);
    return false;
  };
}

function deleteFirst(entries: Map<string, unknown>): void {
  const first = entries.keys().next();
  if (first.done !== true) entries.delete(first.value);
}

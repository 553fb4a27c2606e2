/** A seeded random generator: the same seed gives the same choices. */
export interface Random {
  /** A whole number from 0 to below `bound`. */
  below(bound: number): number;
  random(probability: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
}

/** Creates a {@link Random} (the mulberry32 generator by Tommy Ettinger, in the public domain). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(next() * bound);
  return {
    below,
    random: (probability) => next() < probability,
    pick(items) {
      const item = items[below(items.length)];
      if (item === undefined) throw new RangeError("nothing to pick from");
      return item;
    },
  };
}

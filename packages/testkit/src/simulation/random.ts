/** A seeded random generator: the same seed gives the same choices. */
export interface Random {
  /** A number from 0 up to but not including 1. */
  fraction(): number;
  /** A whole number from 0 up to but not including `bound`. */
  below(bound: number): number;
  /** True with this probability. */
  happens(probability: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
  /** An item, with a probability in proportion to its weight. */
  pickWeighted<Item>(items: readonly (readonly [weight: number, item: Item])[]): Item;
  bytes(count: number): Uint8Array;
}

/** Creates a {@link Random} (the mulberry32 generator by Tommy Ettinger, in the public domain). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (bound: number): number => Math.floor(fraction() * bound);
  return {
    fraction,
    below,
    happens: (probability) => fraction() < probability,
    pick(items) {
      const item = items[below(items.length)];
      if (item === undefined) throw new RangeError("nothing to pick from");
      return item;
    },
    pickWeighted(items) {
      let rest = fraction() * items.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, item] of items) {
        rest -= weight;
        if (rest < 0) return item;
      }
      throw new RangeError("nothing to pick from");
    },
    bytes: (count) => Uint8Array.from({ length: count }, () => below(256)),
  };
}

/** The amounts that owners hold of a capacity. The last quarter is for owners that hold at most an eighth, so that no one owner takes all. */
export interface Shares {
  /** Adds to what an owner holds; less than 0 takes away. */
  add(owner: string, amount: number): void;
  hasRoomFor(owner: string, amount: number): boolean;
}

/** Creates {@link Shares} of a capacity. */
export function createShares(capacity: number): Shares {
  const shared = capacity - Math.floor(capacity / 4);
  const little = Math.floor(capacity / 8);
  const held = new Map<string, number>();
  let total = 0;
  return {
    add(owner, amount) {
      const changed = (held.get(owner) ?? 0) + amount;
      if (changed === 0) held.delete(owner);
      else held.set(owner, changed);
      total += amount;
    },
    hasRoomFor: (owner, amount) => total + amount <= ((held.get(owner) ?? 0) + amount <= little ? capacity : shared),
  };
}

/**
 * A map from 32-bit integers to non-negative ones, in typed arrays. V8 keeps the deleted keys of a `Map` in their buckets until it rebuilds the map: with
 * 100,000 keys, each look-up of a key that was often deleted and added walked through thousands of deleted ones. This map keeps no deleted keys: it
 * probes linearly, and a deletion moves the following keys up.
 */
export class IntMap {
  #keys = new Int32Array(firstCapacity);
  /** The value plus one; 0 where the place is free. */
  #values = new Int32Array(firstCapacity);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: number): number | undefined {
    const value = this.#values[this.#placeOf(key)] ?? 0;
    return value === 0 ? undefined : value - 1;
  }

  set(key: number, value: number): void {
    let place = this.#placeOf(key);
    if (this.#values[place] === 0) {
      // At least half of the places are free, so that probes are short.
      if (this.#size * 2 >= this.#values.length) {
        this.#grow();
        place = this.#placeOf(key);
      }
      this.#size++;
    }
    this.#keys[place] = key;
    this.#values[place] = value + 1;
  }

  delete(key: number): void {
    let free = this.#placeOf(key);
    if (this.#values[free] === 0) return;
    this.#size--;
    const mask = this.#values.length - 1;
    for (let place = (free + 1) & mask; this.#values[place] !== 0; place = (place + 1) & mask) {
      // A key may move up to its first place, but not before it.
      const probes = (place - this.#firstPlace(this.#keys[place] ?? 0)) & mask;
      if (probes < ((place - free) & mask)) continue;
      this.#keys[free] = this.#keys[place] ?? 0;
      this.#values[free] = this.#values[place] ?? 0;
      free = place;
    }
    this.#values[free] = 0;
  }

  /** The place of a key, or the free place where it belongs. */
  #placeOf(key: number): number {
    const mask = this.#values.length - 1;
    let place = this.#firstPlace(key);
    while (this.#values[place] !== 0 && this.#keys[place] !== key) place = (place + 1) & mask;
    return place;
  }

  #firstPlace(key: number): number {
    return (Math.imul(key, 0x9e3779b1) >>> 7) & (this.#values.length - 1);
  }

  #grow(): void {
    const [keys, values] = [this.#keys, this.#values];
    this.#keys = new Int32Array(keys.length * 2);
    this.#values = new Int32Array(values.length * 2);
    for (const [index, value] of values.entries()) {
      if (value === 0) continue;
      const key = keys[index] ?? 0;
      const place = this.#placeOf(key);
      this.#keys[place] = key;
      this.#values[place] = value;
    }
  }
}

const firstCapacity = 1_024;

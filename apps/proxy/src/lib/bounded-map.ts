/**
 * A map that drops an entry when it is full, so that callers cannot make it grow without bound. It drops the entry that was added first
 * and not used since. A used entry gets a second chance and moves to the end, which approximates "least recently used" at the cost of
 * one flag per read. When many entries in a row were used, it moves a few of them at a time, so that no call takes long.
 */
export interface BoundedMap<Value> {
  get(key: string): Value | undefined;
  set(key: string, value: Value): void;
  /** Returns the value of a key. Creates a missing one. */
  getOrCreate(key: string, create: (key: string) => Value): Value;
  delete(key: string): void;
  /** It takes time proportional to the size of the map, so it is for rare events only. */
  deleteWhere(matches: (key: string) => boolean): void;
  clear(): void;
}

/** Entries that get a second chance when one is dropped. */
const maxSecondChances = 32;

interface Entry<Value> {
  value: Value;
  isUsed: boolean;
}

export function createBoundedMap<Value>(capacity: number): BoundedMap<Value> {
  const entries = new Map<string, Entry<Value>>();
  // One iterator for all drops in a row: a new one would step over every place that earlier drops left empty.
  let oldestFirst: MapIterator<[string, Entry<Value>]> | null = null;

  function drop(): void {
    for (let chances = 0; ; chances++) {
      oldestFirst ??= entries.entries();
      let oldest = oldestFirst.next();
      if (oldest.done === true) oldest = (oldestFirst = entries.entries()).next();
      if (oldest.done === true) return;
      const [key, entry] = oldest.value;
      entries.delete(key);
      if (!entry.isUsed || chances >= maxSecondChances) return;
      entry.isUsed = false;
      entries.set(key, entry);
    }
  }

  function get(key: string): Value | undefined {
    const entry = entries.get(key);
    if (entry === undefined) return undefined;
    entry.isUsed = true;
    return entry.value;
  }

  function set(key: string, value: Value): void {
    const known = entries.get(key);
    if (known !== undefined) {
      known.value = value;
      return;
    }
    if (entries.size >= capacity) drop();
    // An iterator that does not advance keeps every table that V8 has since replaced, with the entries that were in it.
    else oldestFirst = null;
    entries.set(key, { value, isUsed: false });
  }

  return {
    get,
    set,
    getOrCreate(key, create) {
      const known = get(key);
      if (known !== undefined) return known;
      const value = create(key);
      set(key, value);
      return value;
    },
    delete: (key) => void entries.delete(key),
    deleteWhere(matches) {
      for (const key of entries.keys()) if (matches(key)) entries.delete(key);
    },
    clear: () => entries.clear(),
  };
}

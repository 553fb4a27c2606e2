/** A map or a set, whose entries are in the order in which they were added. */
interface OrderedEntries<Key> {
  readonly size: number;
  keys(): Iterable<Key>;
  delete(key: Key): boolean;
}

/** Keeps a map or a set bounded: drops the entries that were added first, until at most `max` are left. */
export function dropOldest<Key>(entries: OrderedEntries<Key>, max: number): void {
  for (const key of entries.keys()) {
    if (entries.size <= max) return;
    entries.delete(key);
  }
}

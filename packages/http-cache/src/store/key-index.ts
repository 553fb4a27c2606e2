/** Finds the entries of a key. A bucket of the index can also have entries of other keys. */
import { type EntryTable, none } from "./entry-table.ts";
import type { Unpacker } from "./unpacked-entry.ts";

/** The entries by the hash of their key. The keys themselves are in the records. */
export interface KeyIndex {
  /** The variants of a key, the newest first. */
  find(key: string, hash: number): readonly number[];
  /** The entries that are searched for a key with this hash, the newest first. */
  bucket(hash: number): readonly number[];
  add(slot: number): void;
  remove(slot: number): void;
}

/**
 * Creates an empty index: a hash table whose buckets are linked lists in the table of entries. A bucket has one entry on average.
 */
export function createKeyIndex(table: EntryTable, { open }: Pick<Unpacker, "open">): KeyIndex {
  let newest = new Int32Array(1_024).fill(none);
  let count = 0;

  function first(hash: number): number {
    return newest[hash & (newest.length - 1)] ?? none;
  }

  function slotsFrom(start: number): number[] {
    const slots: number[] = [];
    for (let slot = start; slot !== none; slot = sibling(slot)) slots.push(slot);
    return slots;
  }

  function sibling(slot: number): number {
    return table.sibling[slot] ?? none;
  }

  function link(slot: number): void {
    const bucket = (table.hash[slot] ?? 0) & (newest.length - 1);
    table.sibling[slot] = newest[bucket] ?? none;
    newest[bucket] = slot;
  }

  function grow(): void {
    const before = newest;
    newest = new Int32Array(before.length * 2).fill(none);
    for (const start of before) {
      // The newest is linked last.
      for (const slot of slotsFrom(start).toReversed()) link(slot);
    }
  }

  return {
    find: (key, hash) => slotsFrom(first(hash)).filter((slot) => table.hash[slot] === hash && open(slot).key === key),
    bucket: (hash) => slotsFrom(first(hash)),
    add(slot) {
      if (count === newest.length) grow();
      link(slot);
      count++;
    },
    remove(slot) {
      const hash = table.hash[slot] ?? 0;
      let newer = none;
      for (let other = first(hash); other !== slot && other !== none; other = sibling(other)) newer = other;
      if (newer === none) newest[hash & (newest.length - 1)] = sibling(slot);
      else table.sibling[newer] = sibling(slot);
      count--;
    },
  };
}

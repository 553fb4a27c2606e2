/** Finds the entries of a group, so that they can be deleted together. */
import { hashKey } from "./entry-table.ts";
import { IntMap } from "./int-map.ts";

/** The entries of each group. */
export interface GroupIndex {
  join(slot: number, groups: readonly string[]): void;
  leave(slot: number, groups: readonly string[]): void;
  /** A copy of the group's entries. */
  members(group: string): readonly number[];
}

/**
 * Creates an index without groups. Most groups have one member, and for those a hash of the name is enough, because the names are in the
 * member's record. The names of other groups are kept.
 *
 * @param groupsOf reads the groups of an entry
 */
export function createGroupIndex(groupsOf: (slot: number) => readonly string[]): GroupIndex {
  /** The member of each group with only one, by the hash of the group's name. The first group with a hash is here, any other in `named`. */
  const single = new IntMap();
  const named = new Map<string, Set<number>>();

  function join(slot: number, group: string): void {
    const members = named.get(group);
    if (members !== undefined) return void members.add(slot);
    const hash = hashKey(group);
    const other = single.get(hash);
    if (other === undefined) return single.set(hash, slot);
    if (other === slot || !groupsOf(other).includes(group)) return void named.set(group, new Set([slot]));
    single.delete(hash);
    named.set(group, new Set([other, slot]));
  }

  function leave(slot: number, group: string): void {
    const members = named.get(group);
    if (members?.delete(slot) === true) {
      if (members.size === 0) named.delete(group);
      return;
    }
    const hash = hashKey(group);
    if (single.get(hash) === slot) single.delete(hash);
  }

  return {
    join(slot, groups) {
      for (const group of groups) join(slot, group);
    },
    leave(slot, groups) {
      for (const group of groups) leave(slot, group);
    },
    members(group) {
      const members = new Set(named.get(group));
      const only = single.get(hashKey(group));
      if (only !== undefined && groupsOf(only).includes(group)) members.add(only);
      return [...members];
    },
  };
}

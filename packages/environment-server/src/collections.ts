/** Collections that take bounded memory: groups that go when they are empty, and maps and sets that drop their oldest entries. */

/** Members in groups, such as the requests of each row. A group takes no memory after its last member has left. */
export interface Groups<Member> {
  /** Adds a member to a group, in place of the one with the same key. */
  add(group: string, member: Member): void;
  /** Removes the member with a key. Returns whether there was one. */
  delete(group: string, key: unknown): boolean;
  find(group: string, key: unknown): Member | undefined;
  /** The members that a group has now, in the order in which they were added. */
  of(group: string): readonly Member[];
  /** The member that was added first. */
  firstOf(group: string): Member | undefined;
  sizeOf(group: string): number;
  /** Removes a group with all its members. */
  clear(group: string): void;
  /** The groups that have members now. */
  names(): readonly string[];
  /** The group that has the most members; of several, the one that was created first. */
  largest(): string | undefined;
}

/** @param keyOf identifies a member within its group; by default, the member itself does */
export function createGroups<Member>(keyOf: (member: Member) => unknown = (member) => member): Groups<Member> {
  const groups = new Map<string, Map<unknown, Member>>();
  return {
    add(name, member) {
      const group = groups.get(name) ?? new Map<unknown, Member>();
      groups.set(name, group.set(keyOf(member), member));
    },
    delete(name, key) {
      const group = groups.get(name);
      if (group?.delete(key) !== true) return false;
      if (group.size === 0) groups.delete(name);
      return true;
    },
    find: (name, key) => groups.get(name)?.get(key),
    of: (name) => [...(groups.get(name)?.values() ?? [])],
    firstOf: (name) => groups.get(name)?.values().next().value,
    sizeOf: (name) => groups.get(name)?.size ?? 0,
    clear: (name) => void groups.delete(name),
    names: () => [...groups.keys()],
    largest() {
      let [largest, most]: [string | undefined, number] = [undefined, 0];
      for (const [name, { size }] of groups) if (size > most) [largest, most] = [name, size];
      return largest;
    },
  };
}

/** Members of several owners, with a limit for all of them together. */
export type SharedMembers<Member> = Pick<Groups<Member>, "add" | "delete" | "find">;

/** Creates {@link SharedMembers}. When there are too many, the owner with the most loses the oldest, so that no owner displaces those of another. */
export function createSharedMembers<Member>(max: number, keyOf: (member: Member) => unknown): SharedMembers<Member> {
  const owners = createGroups(keyOf);
  let size = 0;

  function remove(owner: string, key: unknown): boolean {
    const isRemoved = owners.delete(owner, key);
    if (isRemoved) size -= 1;
    return isRemoved;
  }

  return {
    add(owner, member) {
      remove(owner, keyOf(member));
      owners.add(owner, member);
      size += 1;
      const largest = size > max ? owners.largest() : undefined;
      const oldest = largest === undefined ? undefined : owners.firstOf(largest);
      if (largest !== undefined && oldest !== undefined) remove(largest, keyOf(oldest));
    },
    delete: remove,
    find: owners.find,
  };
}

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

/**
 * Cuts the arguments of a tool to a length, so that endless arguments cannot fill memory. A model writes them, and a person decides by them, so no
 * text may displace another one: the members that decide what runs get their room first, every other one keeps its name and the start and the end of
 * its text, and each cut says how much is missing.
 */
import { isMembers, type Members } from "./values.ts";

/** The arguments, and whether any part of them is missing. */
interface BoundedInput {
  readonly input: Readonly<Record<string, unknown>> | null;
  readonly isCut: boolean;
}

/** Members that decide what runs, or what is written, in the tools of devices and of common MCP servers. */
const decidingNames: ReadonlySet<string> = new Set([
  ...["command", "cmd", "args", "script", "code"],
  ...["file_path", "path", "notebook_path", "url"],
  ...["old_string", "new_string", "old_str", "new_str", "new_source", "content", "edits", "patch"],
]);

/** Values that are nested deeper are not shown. */
const maxDepth = 8;
/** The cost of a member, an item or a number, in characters. */
const valueCost = 8;
const maxNameLength = 128;
/** The minimum room for each text: enough to say how much of it is missing. */
const minLength = 64;

/** Returns at most about `maxLength` characters of an input; `null` when it is not an object. */
export function boundInput(value: unknown, maxLength: number): BoundedInput {
  if (!isMembers(value)) return { input: null, isCut: value !== undefined && value !== null };
  const cut = { isCut: false };
  return { input: boundMembers(value, maxLength, 1, cut), isCut: cut.isCut };
}

/** Notes that something is missing. */
interface Cut {
  isCut: boolean;
}

function boundValue(value: unknown, length: number, depth: number, cut: Cut): unknown {
  if (typeof value === "string") return boundText(value, length, cut);
  if (typeof value !== "object" || value === null) return value;
  if (depth < maxDepth)
    return isMembers(value)
      ? boundMembers(value, length, depth + 1, cut)
      : boundItems(value as readonly unknown[], length, depth + 1, cut);
  cut.isCut = true;
  return "[values that are nested deeper are not shown]";
}

function boundText(text: string, length: number, cut: Cut): string {
  cut.isCut ||= text.length > length;
  return shortenText(text, length);
}

/** Returns the start and the end of a text that is too long, with the number of characters between them. */
export function shortenText(text: string, length: number): string {
  if (text.length <= length) return text;
  const half = Math.max(0, Math.floor((length - describeMissing(text.length).length) / 2));
  const start = text.slice(0, half).replace(/[\ud800-\udbff]$/, "");
  const end = text.slice(text.length - half).replace(/^[\udc00-\udfff]/, "");
  // Unlike a concatenation, a joined text does not keep the whole one in memory.
  return [start, describeMissing(text.length - start.length - end.length), end].join("");
}

function describeMissing(count: number): string {
  return `…[${count} characters are not shown]…`;
}

function boundMembers(members: Members, length: number, depth: number, cut: Cut): Record<string, unknown> {
  const names = Object.keys(members);
  const first = [...decidingNames].filter((name) => Object.hasOwn(members, name));
  // A model can write so many members that reading each of them takes long.
  const others = names.slice(0, maxChildren(length)).filter((name) => !decidingNames.has(name));
  const shares = shareLength(
    [...first, ...others].map((name) => {
      const cost = Math.min(name.length, maxNameLength) + valueCost;
      return { key: name, cost, size: sizeOf(members[name], length, depth), isFirst: decidingNames.has(name) };
    }),
    length,
    names.length,
  );
  const bounded = new Map<string, unknown>();
  for (const name of new Set([...names.slice(0, maxChildren(length)), ...first])) {
    const share = shares.get(name);
    if (share === undefined) continue;
    const shown = freeName(boundText(name, maxNameLength, cut), bounded);
    bounded.set(shown, boundValue(members[name], share, depth, cut));
  }
  const missing = names.length - shares.size;
  cut.isCut ||= missing > 0;
  if (missing > 0) bounded.set(freeName("…", bounded), `[${missing} more members are not shown]`);
  // Unlike an assignment, this makes `__proto__` a member.
  return Object.fromEntries(bounded);
}

function freeName(name: string, taken: ReadonlyMap<string, unknown>): string {
  return taken.has(name) ? freeName(`${name}…`, taken) : name;
}

function boundItems(items: readonly unknown[], length: number, depth: number, cut: Cut): unknown[] {
  // From both ends: a command may be a list, and its end counts as much as its start.
  const byRank = Array.from({ length: Math.min(items.length, maxChildren(length)) }, (_, rank) =>
    rank % 2 === 0 ? rank / 2 : items.length - (rank + 1) / 2,
  );
  const shares = shareLength(
    byRank.map((key) => ({ key, cost: valueCost, size: sizeOf(items[key], length, depth), isFirst: true })),
    length,
    items.length,
  );
  const bounded = [...shares]
    .toSorted(([one], [other]) => one - other)
    .map(([index, share]) => boundValue(items[index], share, depth, cut));
  const missing = items.length - shares.size;
  cut.isCut ||= missing > 0;
  if (missing > 0) bounded.splice(Math.ceil(bounded.length / 2), 0, `[${missing} more items are not shown]`);
  return bounded;
}

/** A member or an item. */
interface Child<Key> {
  /** Its name or its index. */
  readonly key: Key;
  /** The length that it takes in addition to its value. */
  readonly cost: number;
  /** The length of its value. */
  readonly size: number;
  /** Its text gets room before others get more than the minimum. */
  readonly isFirst: boolean;
}

/** The number of children that can have room. Any more are not read. */
function maxChildren(length: number): number {
  return Math.floor(length / valueCost) + 1;
}

/**
 * Returns how many characters the value of each shown child may use. If all fit, each has its full size. Otherwise as many are shown, by their rank,
 * as fit into half of the length with a minimum each. The rest goes to children with `isFirst`, then to the others, to short texts before long ones.
 *
 * @param count how many children there are, including those that are not read
 */
function shareLength<Key>(byRank: readonly Child<Key>[], length: number, count: number): ReadonlyMap<Key, number> {
  let total = 0;
  for (const { cost, size } of byRank) total += cost + size;
  if (count === byRank.length && total <= length) return new Map(byRank.map(({ key, size }) => [key, size]));
  const shares = new Map<Key, number>();
  let left = length;
  for (const { key, cost, size } of byRank) {
    const share = Math.min(size, minLength);
    if (left - cost - share < length / 2) break;
    left -= cost + share;
    shares.set(key, share);
  }
  const shown = byRank.slice(0, shares.size);
  for (const isFirst of [true, false]) {
    const others = shown.filter((child) => child.isFirst === isFirst).toSorted((one, other) => one.size - other.size);
    for (const [index, { key, size }] of others.entries()) {
      const share = Math.min(size, minLength);
      const more = Math.min(size - share, Math.floor(left / (others.length - index)));
      left -= more;
      shares.set(key, share + more);
    }
  }
  return shares;
}

/** The characters of a value, and the cost of its members, counted until there are more than `max`. */
function sizeOf(value: unknown, max: number, depth: number): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return valueCost;
  if (depth >= maxDepth) return minLength;
  let size = 0;
  if (Array.isArray(value)) {
    for (const item of value as readonly unknown[]) {
      size += valueCost + sizeOf(item, max, depth + 1);
      if (size > max) break;
    }
  } else if (isMembers(value)) {
    for (const name of Object.keys(value)) {
      size += Math.min(name.length, maxNameLength) + valueCost + sizeOf(value[name], max, depth + 1);
      if (size > max) break;
    }
  }
  return size;
}

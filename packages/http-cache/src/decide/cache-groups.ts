import type { HeaderRecord } from "../fields/header-record.ts";
import { parseItems } from "../fields/parse-structured-field.ts";
import { type CacheTarget, groupKey } from "../keys/cache-key.ts";

/** RFC 9875 asks for at least 32 groups of at least 32 characters. */
const maximumGroups = 128;
const maximumLength = 256;
const noGroups: readonly string[] = [];

/** Keys of the groups that an answer belongs to (RFC 9875, 2). */
export function groupsOf(headers: HeaderRecord, target: CacheTarget): readonly string[] {
  return readGroups(headers["cache-groups"], target);
}

/** Keys of the groups that an answer to an unsafe request invalidates (RFC 9875, 3). */
export function invalidatedGroups(headers: HeaderRecord, target: CacheTarget): readonly string[] {
  return readGroups(headers["cache-group-invalidation"], target);
}

function readGroups(value: string | undefined, target: CacheTarget): readonly string[] {
  const items = value === undefined ? null : parseItems(value);
  if (items === null) return noGroups;
  const names = items.flatMap((item) =>
    item.kind === "string" && item.value.length <= maximumLength ? [item.value] : [],
  );
  return [...new Set(names)].slice(0, maximumGroups).map((name) => groupKey(target, name));
}

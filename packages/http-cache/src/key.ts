/** Keys of resources and groups. Different resources or partitions never have the same key. */

/** Identifies a cached resource. */
export interface CacheTarget {
  /** Absolute URL. A fragment is not part of the key. */
  readonly url: string;
  /** Limits who shares responses, such as `["tenant-1"]`. Requests never see responses of another partition. Default: no partition. */
  readonly partition?: readonly string[];
}

/**
 * Joins several strings into one key. Each string is preceded by its length, so two different lists never produce the same key, whatever
 * the strings contain.
 */
export function encodeKey(parts: readonly string[]): string {
  let key = "";
  for (const part of parts) key += `${part.length}:${part}`;
  return key;
}

/** Returns the strings that {@link encodeKey} joined. */
export function decodeKey(key: string): string[] {
  const parts: string[] = [];
  for (let start = 0; start < key.length;) {
    const colon = key.indexOf(":", start);
    const end = colon + 1 + Number(key.slice(start, colon));
    parts.push(key.slice(colon + 1, end));
    start = end;
  }
  return parts;
}

/** The primary key of a resource (RFC 9111, 2). */
export function cacheKey({ url, partition }: CacheTarget): string {
  const hash = url.indexOf("#");
  const resource = hash === -1 ? url : url.slice(0, hash);
  return partition === undefined || partition.length === 0
    ? encodeKey([resource])
    : encodeKey([...partition, resource]);
}

/** The key of a group. A group name is local to its origin and partition (RFC 9875, 2.1). */
export function groupKey({ url, partition = [] }: CacheTarget, group: string): string {
  return encodeKey(["group", ...partition, new URL(url).origin, group]);
}

import { encodeKey } from "./encode-key.ts";

/** What tells one cached resource from another. */
export interface CacheTarget {
  /** Absolute URL; a fragment is not part of the key. */
  readonly url: string;
  /** Who may share answers, such as `["tenant-1"]`: nothing stored under one partition is seen from another. Default: none. */
  readonly partition?: readonly string[];
}

/** The primary key under which a resource is stored (RFC 9111, 2). */
export function cacheKey({ url, partition }: CacheTarget): string {
  const hash = url.indexOf("#");
  const resource = hash === -1 ? url : url.slice(0, hash);
  return partition === undefined || partition.length === 0
    ? encodeKey([resource])
    : encodeKey([...partition, resource]);
}

/** The key of a group: the same name in another partition or at another origin is another group (RFC 9875, 2.1). */
export function groupKey({ url, partition = [] }: CacheTarget, group: string): string {
  return encodeKey(["group", ...partition, new URL(url).origin, group]);
}

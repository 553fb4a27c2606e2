/**
 * Recognises frames that a device sends twice, by the key that it gives each of them. The last keys of each row are remembered, even while
 * its device reconnects.
 */
import { dropOldest } from "../drop-oldest.ts";
import { maxRecentFrameKeys, maxRowsWithFrameKeys } from "../limits.ts";

/** Returns whether a row has sent a key before, and remembers it. */
export type IsRepeat = (environmentId: string, key: string) => boolean;

/** Creates an {@link IsRepeat}. */
export function createIsRepeat(): IsRepeat {
  const rows = new Map<string, Set<string>>();
  return (environmentId, key) => {
    const keys = rows.get(environmentId) ?? new Set();
    // The row that was used last is the last one.
    rows.delete(environmentId);
    rows.set(environmentId, keys);
    dropOldest(rows, maxRowsWithFrameKeys);
    if (keys.has(key)) return true;
    keys.add(key);
    dropOldest(keys, maxRecentFrameKeys);
    return false;
  };
}

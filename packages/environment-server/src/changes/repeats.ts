/**
 * Recognises frames that a device sends twice, by the key that it gives each of them. The last keys of each row are remembered, also while
 * its device reconnects.
 */
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
    removeFirst(rows, maxRowsWithFrameKeys);
    if (keys.has(key)) return true;
    keys.add(key);
    removeFirst(keys, maxRecentFrameKeys);
    return false;
  };
}

function removeFirst(entries: Map<string, unknown> | Set<string>, max: number): void {
  for (const key of entries.keys()) {
    if (entries.size <= max) return;
    entries.delete(key);
  }
}

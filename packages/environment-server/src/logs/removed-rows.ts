import { dropOldest } from "../drop-oldest.ts";

/** Removed rows that a log in memory remembers. The oldest are forgotten first. */
const maxRemovedRows = 10_000;

/** The rows that were removed lately, for a log in memory. Ids of rows are never used again. */
interface RemovedRows {
  add(environmentIds: readonly string[]): void;
  has(environmentId: string): boolean;
}

/** Creates {@link RemovedRows}. */
export function createRemovedRows(): RemovedRows {
  const ids = new Set<string>();
  return {
    add(environmentIds) {
      for (const id of environmentIds) ids.add(id);
      dropOldest(ids, maxRemovedRows);
    },
    has: (environmentId) => ids.has(environmentId),
  };
}

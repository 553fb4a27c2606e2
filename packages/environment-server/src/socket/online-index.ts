/**
 * The ids of the rows with an open socket, sorted, for each tenant. Reading a page of online devices takes a binary search and the
 * ids of that page, however many devices are connected.
 */

export interface OnlineIndex {
  add(tenant: string, environmentId: string): void;
  remove(tenant: string, environmentId: string): void;
  /** Returns up to `limit` ids after `afterId`, in ascending order; `null` starts at the first. */
  after(tenant: string, afterId: string | null, limit: number): readonly string[];
}

export function createOnlineIndex(): OnlineIndex {
  const tenants = new Map<string, string[]>();
  return {
    add(tenant, environmentId) {
      const ids = tenants.get(tenant) ?? [];
      tenants.set(tenant, ids);
      const position = findPosition(ids, environmentId);
      if (ids[position] !== environmentId) ids.splice(position, 0, environmentId);
    },
    remove(tenant, environmentId) {
      const ids = tenants.get(tenant) ?? [];
      const position = findPosition(ids, environmentId);
      if (ids[position] === environmentId) ids.splice(position, 1);
      if (ids.length === 0) tenants.delete(tenant);
    },
    after(tenant, afterId, limit) {
      const ids = tenants.get(tenant) ?? [];
      const position = afterId === null ? 0 : findPosition(ids, afterId);
      const start = ids[position] === afterId ? position + 1 : position;
      return ids.slice(start, start + limit);
    },
  };
}

/** The position of the first id that does not sort before `id`. */
function findPosition(ids: readonly string[], id: string): number {
  let low = 0;
  let high = ids.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ids[middle] ?? "") < id) low = middle + 1;
    else high = middle;
  }
  return low;
}

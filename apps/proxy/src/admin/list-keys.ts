import { keyState } from "../keys/key-lifecycle.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { type AdminAuthority, mayKnowKey } from "./admin-authority.ts";
import type { ListKeysQuery } from "./admin-endpoints.ts";

/** A page of keys. */
export interface KeyPage {
  readonly records: readonly KeyRecord[];
  readonly hasNextPage: boolean;
}

/**
 * The page of a list, ordered as the records are; `null` when `after` names no key that the authority may know of. A key that
 * does not fit the filters any longer still tells where the next page begins.
 */
export function pageOfKeys(
  authority: AdminAuthority,
  records: readonly KeyRecord[],
  { limit, after, tenant, state }: ListKeysQuery,
  nowMs: number,
): KeyPage | null {
  const known = records.filter((record) => mayKnowKey(authority, record));
  const lastSeen = after === undefined ? -1 : known.findIndex(({ id }) => id === after);
  if (after !== undefined && lastSeen === -1) return null;
  const rest = known
    .slice(lastSeen + 1)
    .filter((record) => tenant === undefined || record.tenant === tenant)
    .filter((record) => state === undefined || keyState(record, nowMs) === state);
  return { records: rest.slice(0, limit), hasNextPage: rest.length > limit };
}

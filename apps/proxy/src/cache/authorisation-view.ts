import type { Sha256 } from "@letta-environments/platform";
import type { Principal } from "@letta-environments/schema";

/** Identifies what a principal can see of its tenant. Only principals with the same visibility key share cached responses. */
export type VisibilityKey = string & { readonly brand: "VisibilityKey" };

/** Returns a function that computes the {@link VisibilityKey} of a principal, once for each principal object. */
export function createVisibilityKey(sha256: Sha256): (principal: Principal) => VisibilityKey {
  const known = new WeakMap<Principal, VisibilityKey>();
  return (principal) => {
    let key = known.get(principal);
    if (key === undefined) {
      key = sha256(JSON.stringify(visibilityOf(principal))) as VisibilityKey;
      known.set(principal, key);
    }
    return key;
  };
}

/**
 * Everything that decides which rows a principal sees and which members of them, except the tenant, which is a separate part of the cache key. When
 * `Principal` gets a new member, decide whether it belongs here.
 */
function visibilityOf({ deviceIds, connectionNames, tenantDevices, tenantName, scopes }: Principal): unknown {
  const sorted = (values: readonly string[] | null | undefined): readonly string[] | null => values?.toSorted() ?? null;
  return [
    sorted(deviceIds),
    sorted(connectionNames),
    sorted(tenantDevices?.deviceIds),
    sorted(tenantDevices?.connectionNames),
    tenantDevices === undefined || tenantDevices === null,
    tenantName ?? null,
    scopes.has("details"),
  ];
}

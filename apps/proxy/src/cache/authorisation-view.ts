import type { Sha256 } from "@letta-environments/platform";
import type { Principal } from "@letta-environments/schema";

/** What of a tenant a principal is shown: keys with the same view may share answers, and no others. */
export type AuthorisationView = string & { readonly brand: "AuthorisationView" };

/** Creates what tells the view of a principal; made once for each. */
export function createAuthorisationView(sha256: Sha256): (principal: Principal) => AuthorisationView {
  const known = new WeakMap<Principal, AuthorisationView>();
  return (principal) => {
    let view = known.get(principal);
    if (view === undefined) {
      view = sha256(JSON.stringify(viewOf(principal))) as AuthorisationView;
      known.set(principal, view);
    }
    return view;
  };
}

/** Everything but the tenant, which is the partition, that decides which rows a principal sees and what of them; a member of a principal that is added later belongs here, or not. */
function viewOf({ deviceIds, connectionNames, tenantDevices, tenantName, scopes }: Principal): unknown {
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

import type { JwtSettings } from "../auth/jwt-settings.ts";
import type { TenantSettings } from "./settings.ts";
import type { CredentialOf } from "./settings.ts";
import type { TenantCredential } from "./find-shared-credentials.ts";

/** Every tenant that calls the upstream, configured or known by its keys, with its credential. */
export function tenantCredentials(
  tenants: ReadonlyMap<string, TenantSettings>,
  jwt: Pick<JwtSettings, "tenant"> | null,
  live: ReadonlySet<string>,
  credentialOf: CredentialOf,
): readonly TenantCredential[] {
  const names = new Set([...tenants.keys(), ...live, ...(jwt === null || jwt.tenant === null ? [] : [jwt.tenant])]);
  return [...names].map((tenant) => {
    const { deviceIds = null, connectionNames = null } = tenants.get(tenant) ?? {};
    return { tenant, credential: credentialOf(tenant), deviceIds, connectionNames };
  });
}

import type { Clock } from "@letta-environments/platform";
import type { KeyStore } from "../ports.ts";
import { findSharedCredentials, liveTenants, tenantCredentials } from "./credentials.ts";
import type { AdmitsTenant, CredentialKind, CredentialOf, TenantSettings, TokenTenant } from "./settings.ts";

/** The options of {@link createTenantAdmission}. */
export interface TenantAdmissionOptions {
  readonly clock: Pick<Clock, "now">;
  readonly keyStore: Pick<KeyStore, "list">;
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  readonly jwt: TokenTenant | null;
  readonly credentialOf: CredentialOf;
}

/**
 * Returns a function that decides whether a tenant may call a remote upstream. Configured tenants were validated at the start.
 * At most one other tenant may use `LETTA_API_KEY`: the only one that has keys at its first call. A second one is refused until
 * the configuration names it.
 */
export function createTenantAdmission(options: TenantAdmissionOptions): AdmitsTenant {
  const { tenants, jwt, keyStore, clock, credentialOf } = options;
  let sole: string | null = null;

  async function claim(tenant: string): Promise<boolean> {
    const live = new Set([...liveTenants(await keyStore.list(), clock.now()), tenant]);
    const problems = findSharedCredentials(tenantCredentials(tenants, jwt, live, credentialOf));
    if (problems.some(({ setting }) => setting === `tenants.${tenant}`)) return false;
    sole ??= tenant;
    return sole === tenant;
  }

  return (tenant: string, via: CredentialKind) => {
    if (tenants.has(tenant) || tenant === jwt?.tenant) return true;
    if (sole !== null) return sole === tenant;
    // A token can name any tenant, so its tenant must be configured.
    return via === "key" && claim(tenant);
  };
}

import type { Clock } from "@letta-environments/platform";
import type { KeyStore } from "../ports.ts";
import { findSharedCredentials, liveTenants, tenantCredentials } from "./credentials.ts";
import type { AdmitsTenant, CredentialKind, CredentialOf, TenantSettings, TokenTenant } from "./settings.ts";

/** What the admission is told. */
export interface TenantAdmissionOptions {
  readonly clock: Pick<Clock, "now">;
  readonly keyStore: Pick<KeyStore, "list">;
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  readonly jwt: TokenTenant | null;
  readonly credentialOf: CredentialOf;
}

/**
 * Decides whether a tenant may call an HTTP upstream. Configured tenants were checked at the start. Of all others at most one
 * may use `LETTA_API_KEY`: the only one that has keys when it first calls; a second one is refused until the configuration names it.
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
    // Tokens name tenants of which no list exists.
    return via === "key" && claim(tenant);
  };
}

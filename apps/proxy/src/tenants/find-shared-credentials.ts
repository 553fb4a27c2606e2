import type { DeviceAllowlist } from "@letta-environments/schema";
import type { SettingProblem } from "../lib/setting-problem.ts";

/** A tenant with what its requests authenticate with at the upstream. */
export interface TenantCredential extends DeviceAllowlist {
  readonly tenant: string;
  /** `null`: nothing, which can be shared like any credential. */
  readonly credential: string | null;
}

/**
 * Tenants that would see each other's devices: the upstream cannot tell apart who comes with one credential, so each that
 * shares one must be held to devices of its own, and no id may be in two of the lists.
 */
export function findSharedCredentials(tenants: readonly TenantCredential[]): SettingProblem[] {
  return tenants.flatMap((tenant) => {
    const others = tenants.filter((other) => other !== tenant && other.credential === tenant.credential);
    const [first] = others;
    if (first === undefined) return [];
    const setting = `tenants.${tenant.tenant}`;
    if (tenant.deviceIds === null && tenant.connectionNames === null) {
      const rule = `shares its upstream credential with tenant '${first.tenant}': give it one of its own (upstream.credentialEnv or upstream.credentialFile), or give both a device allowlist (deviceIds, connectionNames)`;
      return [{ setting, rule }];
    }
    const rival = others.find(({ deviceIds }) => deviceIds?.some((id) => tenant.deviceIds?.includes(id)));
    if (rival === undefined) return [];
    return [
      {
        setting: `${setting}.deviceIds`,
        rule: `has a device of tenant '${rival.tenant}', which shares its upstream credential`,
      },
    ];
  });
}

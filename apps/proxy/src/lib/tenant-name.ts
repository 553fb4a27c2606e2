import { isIdentifier } from "@letta-environments/schema";

/** Prefix of the tenants of callers that send their own upstream key. No other tenant may start with it. */
export const passThroughTenantPrefix = "passthrough:";

/** The rule for tenant names, in words. */
export const tenantRule: string = `must be an id that does not start with '${passThroughTenantPrefix}'`;

/** Whether a text can be the name of a tenant. */
export function isTenantName(name: string): boolean {
  return isIdentifier(name) && !name.startsWith(passThroughTenantPrefix);
}

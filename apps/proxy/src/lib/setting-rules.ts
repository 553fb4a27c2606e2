import { isIdentifier } from "@letta-environments/schema";

/** A setting that breaks a rule. The value is not repeated: it may be a secret. */
export interface SettingProblem {
  /** Where it was set: `--port`, `PORT`, or the member of the file, such as `upstream.url`. */
  readonly setting: string;
  readonly rule: string;
}

/** Prefix of the tenants of callers that send their own upstream key. No other tenant may start with it. */
export const passThroughTenantPrefix = "passthrough:";

/** The rule for tenant names, in words. */
export const tenantRule: string = `must be an id that does not start with '${passThroughTenantPrefix}'`;

/** Whether a text can be the name of a tenant. */
export function isTenantName(name: string): boolean {
  return isIdentifier(name) && !name.startsWith(passThroughTenantPrefix);
}

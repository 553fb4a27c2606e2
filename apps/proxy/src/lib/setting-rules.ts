/** Rules for settings: problems, and names of tenants. */
import { isIdentifier } from "@letta-environments/schema";

/** A setting that breaks a rule. It does not contain the value, which may be a secret. */
export interface SettingProblem {
  /** The source of the setting: `--port`, `PORT`, or the member of the file, such as `upstream.url`. */
  readonly setting: string;
  readonly rule: string;
}

/** The resolved part of the settings, and the rules that it breaks. */
export interface Resolved<Settings> {
  readonly settings: Settings;
  readonly problems: readonly SettingProblem[];
}

/** The prefix of the tenants of callers that send their own upstream key. No other tenant may start with it. */
export const passThroughTenantPrefix = "passthrough:";

/** The rule for tenant names, for error messages. */
export const tenantRule: string = `must be an id that does not start with '${passThroughTenantPrefix}': 1 to 128 characters from A-Z a-z 0-9 . _ ~ : -`;

/** Returns whether a text can be the name of a tenant. */
export function isTenantName(name: string): boolean {
  return isIdentifier(name) && !name.startsWith(passThroughTenantPrefix);
}

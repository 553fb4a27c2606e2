import { isIdentifier } from "@letta-environments/schema";
import { type ConfigFile, type TenantFile } from "./config-file.ts";
import { isTenantName, tenantRule } from "./resolve-jwt.ts";
import type { CredentialSource, TenantSettings } from "../tenants/settings.ts";
import type { SettingProblem } from "../lib/setting-problem.ts";

/** A credential as it can stand in a header. */
const credentialPattern = /^[\x21-\x7e]{1,4096}$/;

/** Resolves `tenants` with the credentials that the environment holds for them. */
export function resolveTenants(
  { tenants = {} }: ConfigFile,
  environment: Readonly<Record<string, string | undefined>>,
  isEmbedded: boolean,
): { readonly tenants: ReadonlyMap<string, TenantSettings>; readonly problems: readonly SettingProblem[] } {
  const problems: SettingProblem[] = [];
  const resolved = Object.entries(tenants).map(([name, tenant]): [string, TenantSettings] => {
    const setting = `tenants.${name.slice(0, 64)}`;
    if (!isTenantName(name)) problems.push({ setting, rule: tenantRule });
    if (tenant.deviceIds?.some((id) => !isIdentifier(id))) {
      problems.push({ setting: `${setting}.deviceIds`, rule: "must hold ids of devices" });
    }
    if (isEmbedded && tenant.upstream !== undefined) {
      problems.push({
        setting: `${setting}.upstream`,
        rule: "needs an HTTP upstream; the embedded server takes no credential",
      });
    }
    const { upstream = {}, ...rest } = tenant;
    const credential = readSource(upstream, environment);
    if (typeof credential === "string") problems.push({ setting: `${setting}.upstream`, rule: credential });
    return [name, { ...defaults, ...rest, credential: typeof credential === "string" ? null : credential }];
  });
  return { tenants: new Map(resolved), problems };
}

const defaults = { publicName: null, deviceIds: null, connectionNames: null };

/** Where the credential is, or the rule that is broken. */
function readSource(
  { credentialEnv: variable, credentialFile: path }: NonNullable<TenantFile["upstream"]>,
  environment: Readonly<Record<string, string | undefined>>,
): CredentialSource | string | null {
  if (variable !== undefined && path !== undefined) return "must have one of credentialEnv and credentialFile";
  if (path !== undefined) return { kind: "file", path };
  if (variable === undefined) return null;
  // Somebody may have written the credential itself where its variable's name belongs: it must not be repeated.
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) return "has a credentialEnv that is no name of a variable";
  const value = environment[variable] ?? "";
  if (!credentialPattern.test(value)) return "names a variable (credentialEnv) that is empty or not visible ASCII";
  return { kind: "environment", variable, value };
}

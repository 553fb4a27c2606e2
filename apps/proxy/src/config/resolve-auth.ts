/**
 * Resolves the members `auth.jwt`, `tenants` and `admin` of the configuration file: defaults, and rules that the schema of the file cannot express.
 */
import { isIdentifier } from "@letta-environments/schema";
import type { JwtSettings } from "../auth/jwt-settings.ts";
import { isListenHost, isLoopbackHost, listenHostRule, plainAddress, urlHost } from "../lib/hosts.ts";
import { isTenantName, type Resolved, type SettingProblem, tenantRule } from "../lib/setting-rules.ts";
import type { CredentialSource, TenantSettings } from "../tenants/settings.ts";
import { parseUpstreamBaseUrl } from "../upstream/settings.ts";
import type { AdminFile, ConfigFile, JwtFile, TenantFile } from "./file.ts";
import type { AdminSettings } from "./settings.ts";

const defaults = {
  algorithms: ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"],
  type: "at+jwt",
  clockToleranceMs: 5_000,
  maxTokenBytes: 8_192,
  jwksMaxAgeMs: 600_000,
  jwksStaleMs: 86_400_000,
  jwksCooldownMs: 30_000,
  jwksTimeoutMs: 5_000,
  tenant: null,
};

const defaultClaims = {
  tenant: null,
  scopes: "scope",
  owner: "sub",
  deviceIds: null,
  connectionNames: null,
  deviceTags: null,
  agentIds: null,
  maxMode: null,
};

/** Resolves `auth.jwt`: applies defaults and validates the rules that concern several members. */
export function resolveJwt(jwt: JwtFile): Resolved<JwtSettings> {
  const problems: SettingProblem[] = [];
  const { audience, claims = {}, scopeMap } = jwt;
  const settings: JwtSettings = {
    ...defaults,
    ...jwt,
    audience: typeof audience === "string" ? [audience] : audience,
    claims: { ...defaultClaims, ...claims },
    scopeMap: scopeMap === undefined ? null : new Map(Object.entries(scopeMap)),
  };
  const urlRule = jwksUrlRule(jwt.jwksUrl);
  if (urlRule !== null) problems.push({ setting: "auth.jwt.jwksUrl", rule: urlRule });
  if ((jwt.tenant === undefined) === (claims.tenant === undefined)) {
    const rule = "needs exactly one of tenant (the same for every token) and claims.tenant (named by a claim)";
    problems.push({ setting: "auth.jwt", rule });
  }
  if (jwt.tenant !== undefined && !isTenantName(jwt.tenant)) {
    problems.push({ setting: "auth.jwt.tenant", rule: tenantRule });
  }
  if (settings.jwksStaleMs < settings.jwksMaxAgeMs) {
    problems.push({ setting: "auth.jwt.jwksStaleMs", rule: "must not be less than jwksMaxAgeMs" });
  }
  return { settings, problems };
}

/** The rule for upstreams, but a query is allowed, because it is common in such URLs. */
function jwksUrlRule(text: string): string | null {
  if (!URL.canParse(text)) return "must be an absolute URL";
  const url = new URL(text);
  url.search = "";
  const parsed = parseUpstreamBaseUrl(url.href, false);
  return parsed.ok ? null : parsed.rule;
}

/** The syntax of a credential in a header. */
const credentialPattern = /^[\x21-\x7e]{1,4096}$/;

/** Resolves `tenants` with the credentials from the environment. */
export function resolveTenants(
  { tenants = {} }: ConfigFile,
  environment: Readonly<Record<string, string | undefined>>,
  isEmbedded: boolean,
): Resolved<ReadonlyMap<string, TenantSettings>> {
  const problems: SettingProblem[] = [];
  const resolved = Object.entries(tenants).map(([name, tenant]): [string, TenantSettings] => {
    const setting = `tenants.${name.slice(0, 64)}`;
    if (!isTenantName(name)) problems.push({ setting, rule: tenantRule });
    if (tenant.deviceIds?.some((id) => !isIdentifier(id))) {
      problems.push({ setting: `${setting}.deviceIds`, rule: "must be a list of device ids" });
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
    return [name, { ...tenantDefaults, ...rest, credential: typeof credential === "string" ? null : credential }];
  });
  return { settings: new Map(resolved), problems };
}

const tenantDefaults = { publicName: null, deviceIds: null, connectionNames: null };

/** Returns the source of a credential, or the broken rule as text. */
function readSource(
  { credentialEnv: variable, credentialFile: path }: NonNullable<TenantFile["upstream"]>,
  environment: Readonly<Record<string, string | undefined>>,
): CredentialSource | string | null {
  if (variable !== undefined && path !== undefined) return "must have one of credentialEnv and credentialFile";
  if (path !== undefined) return { kind: "file", path };
  if (variable === undefined) return null;
  // The value may be the credential itself, written there by mistake, so the message must not repeat it.
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) return "has a credentialEnv that is not the name of a variable";
  const value = environment[variable] ?? "";
  if (!credentialPattern.test(value)) return "names a variable (credentialEnv) that is empty or not visible ASCII";
  return { kind: "environment", variable, value };
}

/** Shortest operator token, in characters. */
const minTokenLength = 32;

/** The syntax of a Bearer token (RFC 6750 section 2.1). */
const tokenPattern = /^[A-Za-z0-9._~+/-]+=*$/;

/** The rule for operator tokens, in words. */
export const tokenRule: string = `at least ${minTokenLength} characters from A-Z a-z 0-9 . _ ~ + / -`;

/** Whether a text can be an operator token: long enough not to be guessed, and valid in a header. */
export function isOperatorTokenText(text: string): boolean {
  return text.length >= minTokenLength && tokenPattern.test(text);
}

/** Resolves `admin` with the token from the environment. */
export function resolveAdmin(
  { host: given = "127.0.0.1", port, allowRemote = false, hostnames = [] }: AdminFile,
  token: string | undefined,
  withoutToken = false,
): Resolved<AdminSettings> {
  const host = plainAddress(given);
  const problems: SettingProblem[] = [];
  if (!isListenHost(host)) {
    problems.push({ setting: "admin.host", rule: listenHostRule });
  } else if (!isLoopbackHost(urlHost(host)) && !allowRemote) {
    const rule =
      "must be a loopback address; other addresses need admin.allowRemote, because everyone who reaches the listener can try tokens";
    problems.push({ setting: "admin.host", rule });
  }
  if (!withoutToken && (token === undefined || !isOperatorTokenText(token))) {
    problems.push({
      setting: "ADMIN_TOKEN",
      rule: `must be the operator's token if admin.port is set: ${tokenRule}`,
    });
  }
  return { settings: { host, port, hostnames, token: token ?? "" }, problems };
}

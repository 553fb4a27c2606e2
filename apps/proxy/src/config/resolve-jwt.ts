import { isIdentifier } from "@letta-environments/schema";
import { passThroughTenantPrefix } from "../auth/pass-through.ts";
import { parseUpstreamBaseUrl } from "../upstream/upstream-base-url.ts";
import type { JwtFile } from "./config-file.ts";
import type { JwtSettings } from "../auth/jwt-settings.ts";
import type { SettingProblem } from "../lib/setting-problem.ts";

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
  agentIds: null,
  maxMode: null,
};

/** Resolves `auth.jwt`: defaults, and the rules that no single member can tell. */
export function resolveJwt(jwt: JwtFile): {
  readonly settings: JwtSettings;
  readonly problems: readonly SettingProblem[];
} {
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
    const rule = "needs exactly one of tenant (the same for every token) and claims.tenant (told by a claim)";
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

/** The rule for a tenant's name in words. */
export const tenantRule: string = `must be an id, and not begin with '${passThroughTenantPrefix}'`;

/** Whether a name may be a tenant's. */
export function isTenantName(name: string): boolean {
  return isIdentifier(name) && !name.startsWith(passThroughTenantPrefix);
}

/** As for an upstream, but a query is common in such URLs. */
function jwksUrlRule(text: string): string | null {
  if (!URL.canParse(text)) return "must be an absolute URL";
  const url = new URL(text);
  url.search = "";
  const parsed = parseUpstreamBaseUrl(url.href, false);
  return parsed.ok ? null : parsed.rule.replace(/, or with upstream\.allowInsecure/, "");
}

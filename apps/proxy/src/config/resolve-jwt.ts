import { isIdentifier } from "@letta-environments/schema";
import { passThroughTenantPrefix } from "../auth/pass-through.ts";
import { parseUpstreamBaseUrl } from "../upstream/upstream-base-url.ts";
import type { JwtFile } from "./config-file.ts";
import type { JwtSettings, SettingProblem } from "./settings.ts";

const defaultAlgorithms = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"];

/** Resolves `auth.jwt`: defaults, and the rules that no single member can tell. */
export function resolveJwt(jwt: JwtFile): {
  readonly settings: JwtSettings;
  readonly problems: readonly SettingProblem[];
} {
  const problems: SettingProblem[] = [];
  const { claims = {}, jwksMaxAgeMs = 600_000, jwksStaleMs = 86_400_000 } = jwt;

  const urlRule = jwksUrlRule(jwt.jwksUrl);
  if (urlRule !== null) problems.push({ setting: "auth.jwt.jwksUrl", rule: urlRule });
  if ((jwt.tenant === undefined) === (claims.tenant === undefined)) {
    const rule = "needs exactly one of tenant (the same for every token) and claims.tenant (told by a claim)";
    problems.push({ setting: "auth.jwt", rule });
  }
  if (jwt.tenant !== undefined && !isTenantName(jwt.tenant)) {
    problems.push({ setting: "auth.jwt.tenant", rule: tenantRule });
  }
  if (jwksStaleMs < jwksMaxAgeMs) {
    problems.push({ setting: "auth.jwt.jwksStaleMs", rule: "must not be less than jwksMaxAgeMs" });
  }
  const settings: JwtSettings = {
    issuer: jwt.issuer,
    audience: typeof jwt.audience === "string" ? [jwt.audience] : jwt.audience,
    jwksUrl: jwt.jwksUrl,
    algorithms: jwt.algorithms ?? defaultAlgorithms,
    type: jwt.type ?? "at+jwt",
    clockToleranceMs: jwt.clockToleranceMs ?? 5_000,
    maxTokenBytes: jwt.maxTokenBytes ?? 8_192,
    jwksMaxAgeMs,
    jwksStaleMs,
    jwksCooldownMs: jwt.jwksCooldownMs ?? 30_000,
    jwksTimeoutMs: jwt.jwksTimeoutMs ?? 5_000,
    tenant: jwt.tenant ?? null,
    claims: {
      tenant: claims.tenant ?? null,
      scopes: claims.scopes ?? "scope",
      owner: claims.owner ?? "sub",
      deviceIds: claims.deviceIds ?? null,
      connectionNames: claims.connectionNames ?? null,
      agentIds: claims.agentIds ?? null,
      maxMode: claims.maxMode ?? null,
    },
    scopeMap: jwt.scopeMap === undefined ? null : new Map(Object.entries(jwt.scopeMap)),
  };
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

/** Resolves the settings of every runtime from variables and the file. */
import type { ApprovalPolicy } from "@letta-environments/schema";
import type { Resolved, SettingProblem } from "../lib/setting-rules.ts";
import type { ApprovalPolicies } from "../tenants/settings.ts";
import { parseUpstreamBaseUrl, type UpstreamSettings } from "../upstream/settings.ts";
import type { ApprovalPolicyFile, ConfigFile } from "./file.ts";
import { resolveJwt, resolveTenants } from "./resolve-auth.ts";
import { resolveRateLimits } from "./resolve-rate-limits.ts";
import type { GatewaySettings } from "./settings.ts";

/**
 * Resolves the settings of every gateway, on any runtime: environment, then file, then defaults.
 *
 * @param hasValkey whether a Valkey is configured
 */
export function resolveGatewaySettings(
  config: ConfigFile,
  environment: Readonly<Record<string, string | undefined>>,
  hasValkey: boolean,
): Resolved<GatewaySettings> {
  const problems: SettingProblem[] = [];
  const upstream = resolveUpstream(config, environment, problems);
  const isEmbedded = upstream?.kind === "embedded";
  const jwt = config.auth?.jwt === undefined ? null : resolveJwt(config.auth.jwt);
  const tenants = resolveTenants(config, environment, isEmbedded);
  const corsOrigins = config.cors?.origins ?? [];
  const rateLimits = resolveRateLimits(config.rateLimits ?? {}, hasValkey);
  problems.push(...(jwt?.problems ?? []), ...tenants.problems, ...checkOrigins(corsOrigins), ...rateLimits.problems);
  const passThrough = config.auth?.passThrough ?? false;
  if (passThrough && isEmbedded) {
    const rule =
      "needs an HTTP upstream (upstream.url or UPSTREAM_URL): the embedded server has no keys but the gateway's";
    problems.push({ setting: "auth.passThrough", rule });
  }
  const settings: GatewaySettings = {
    upstream: upstream ?? { kind: "embedded" },
    upstreamTimeoutMs: config.upstream?.timeoutMs ?? 30_000,
    maxConcurrentPerTenant: config.upstream?.maxConcurrentPerTenant ?? 128,
    jwt: jwt?.settings ?? null,
    passThrough,
    tenants: tenants.settings,
    approvals: resolveApprovals(config),
    corsOrigins,
    rateLimits: rateLimits.settings,
    cache: resolveCache(config),
    auditContent: config.audit?.content ?? false,
  };
  return { settings, problems };
}

function resolveApprovals({ approvals }: ConfigFile): ApprovalPolicies | null {
  if (approvals === undefined) return null;
  const { tenants = {}, keys = {}, ...everybody } = approvals;
  const toPolicy = (policy: ApprovalPolicyFile): ApprovalPolicy => ({ deniedTools: [], deadlineMs: null, ...policy });
  const byName = (policies: Readonly<Record<string, ApprovalPolicyFile>>): ApprovalPolicies["keys"] =>
    new Map(Object.entries(policies).map(([name, policy]) => [name, toPolicy(policy)]));
  const isForEverybody = Object.keys(everybody).length > 0;
  return { everybody: isForEverybody ? toPolicy(everybody) : null, tenants: byName(tenants), keys: byName(keys) };
}

/** Returns `null` for a setting that breaks a rule. */
function resolveUpstream(
  { upstream = {} }: ConfigFile,
  environment: Readonly<Record<string, string | undefined>>,
  problems: SettingProblem[],
): UpstreamSettings | null {
  // Shells and container files write "not set" as an empty variable.
  const variable = environment["UPSTREAM_URL"] || undefined;
  const url = variable ?? upstream.url;
  if (url === undefined) return { kind: "embedded" };
  const credential = environment["LETTA_API_KEY"] || null;
  const { allowInsecure = false, maxResponseBytes = 8_388_608 } = upstream;
  const baseUrl = parseUpstreamBaseUrl(url, allowInsecure, ", or with upstream.allowInsecure");
  const isSendable = credential === null || /^[\x21-\x7e]+$/.test(credential);
  if (baseUrl.ok && isSendable) return { kind: "http", baseUrl: baseUrl.value, credential, maxResponseBytes };
  const rule = baseUrl.ok ? "needs a LETTA_API_KEY of visible ASCII characters" : baseUrl.rule;
  problems.push({ setting: variable === undefined ? "upstream.url" : "UPSTREAM_URL", rule });
  return null;
}

function resolveCache({ cache = {} }: ConfigFile): GatewaySettings["cache"] {
  const { enabled = true, ...rest } = cache;
  const defaults = { store: "memory", maxBytes: 67_108_864, maxEntries: 100_000, statusFor: "everybody" } as const;
  return enabled ? { ...defaults, ...rest } : null;
}

/** Validates `cors.origins`. An origin must have the form in which browsers write it, because nothing else ever matches. */
function checkOrigins(origins: readonly string[]): readonly SettingProblem[] {
  return origins.flatMap((origin, index) => {
    const rule = originRule(origin);
    return rule === null ? [] : [{ setting: `cors.origins[${index}]`, rule }];
  });
}

function originRule(origin: string): string | null {
  if (origin.includes("*")) return "must be one exact origin; patterns are not supported";
  if (!URL.canParse(origin)) return "must be an origin such as https://console.example";
  const url = new URL(origin);
  if (url.protocol !== "https:" && url.protocol !== "http:") return "must be an http: or https: origin";
  return url.origin === origin
    ? null
    : "must be written as browsers send it: scheme, host in lower case, port unless it is the default, no path";
}

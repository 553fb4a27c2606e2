import { parseValkeyUrl } from "@letta-environments/platform";
import { describeIssues } from "@letta-environments/schema";
import { safeParse } from "valibot";
import { parseUpstreamBaseUrl } from "../upstream/upstream-base-url.ts";
import { checkOrigins } from "./check-origins.ts";
import { type ConfigFile, logFormats } from "./config-file.ts";
import { ConfigFileSchema } from "./config-file-schema.ts";
import { parsePublicUrl } from "./parse-public-url.ts";
import { resolveAdmin } from "./resolve-admin.ts";
import { resolveJwt } from "./resolve-jwt.ts";
import { resolveRateLimits } from "./resolve-rate-limits.ts";
import { resolveTenants } from "./resolve-tenants.ts";
import type { SettingProblem, Settings, UpstreamSettings } from "./settings.ts";

/** Where settings come from. */
export interface SettingSources {
  /** Options of the command line by name, without dashes. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The parsed file; `undefined` when there is none. */
  readonly file: unknown;
}

/** Settings, or every rule that was broken. */
export type ResolvedSettings =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly SettingProblem[] };

interface Choice {
  readonly value: string;
  readonly setting: string;
}

/** Resolves the settings: command line, then environment, then file, then defaults. */
export function resolveSettings({ flags, environment, file }: SettingSources): ResolvedSettings {
  const parsed = safeParse(ConfigFileSchema, file === undefined ? {} : file);
  if (!parsed.success) {
    const issues = describeIssues(parsed.issues, "the configuration file");
    return { ok: false, problems: issues.map(({ member, rule }) => ({ setting: member, rule })) };
  }
  const config = parsed.output;
  const problems: SettingProblem[] = [];

  function choose(
    flag: string | null,
    variable: string | null,
    setting: string,
    fromFile: string | undefined,
  ): Choice | null {
    const fromFlag = flag === null ? undefined : flags[flag];
    if (fromFlag !== undefined) return { value: fromFlag, setting: `--${flag}` };
    const fromEnvironment = variable === null ? undefined : environment[variable];
    // An empty variable is how shells and container files say "not set".
    if (variable !== null && fromEnvironment !== undefined && fromEnvironment !== "") {
      return { value: fromEnvironment, setting: variable };
    }
    return fromFile === undefined ? null : { value: fromFile, setting };
  }

  function check<Value>(choice: Choice | null, read: (text: string) => Read<Value>, otherwise: Value): Value {
    if (choice === null) return otherwise;
    const result = read(choice.value);
    if (result.ok) return result.value;
    problems.push({ setting: choice.setting, rule: result.rule });
    return otherwise;
  }

  const upstream = check<UpstreamSettings>(
    choose(null, "UPSTREAM_URL", "upstream.url", config.upstream?.url),
    (text) => readUpstream(text, config, environment["LETTA_API_KEY"]),
    { kind: "embedded" },
  );
  const isEmbedded = choose(null, "UPSTREAM_URL", "upstream.url", config.upstream?.url) === null;
  const jwt = config.auth?.jwt === undefined ? null : resolveJwt(config.auth.jwt);
  const admin = config.admin === undefined ? null : resolveAdmin(config.admin, environment["ADMIN_TOKEN"]);
  const { tenants, problems: tenantProblems } = resolveTenants(config, environment, isEmbedded);
  const corsOrigins = config.cors?.origins ?? [];
  problems.push(...(jwt?.problems ?? []), ...(admin?.problems ?? []), ...tenantProblems);
  const valkeyUrl = check<string | null>(choose(null, "VALKEY_URL", "VALKEY_URL", undefined), readValkeyUrl, null);
  const rateLimits = resolveRateLimits(config.rateLimits ?? {}, valkeyUrl !== null);
  problems.push(...checkOrigins(corsOrigins), ...rateLimits.problems);
  if (config.cache?.store === "valkey" && valkeyUrl === null) {
    problems.push({ setting: "cache.store", rule: "valkey needs VALKEY_URL" });
  }
  const passThrough = config.auth?.passThrough ?? false;
  if (passThrough && isEmbedded) {
    const rule =
      "needs an HTTP upstream (upstream.url or UPSTREAM_URL): the embedded server has no keys but the gateway's";
    problems.push({ setting: "auth.passThrough", rule });
  }

  const settings: Settings = {
    host: check(choose("host", "HOST", "host", config.host), readText, "127.0.0.1"),
    port: check(choose("port", "PORT", "port", config.port?.toString()), readPort, 8787),
    publicUrl: check<string | null>(
      choose("public-url", "PUBLIC_URL", "publicUrl", config.publicUrl),
      parsePublicUrl,
      null,
    ),
    dataDir: check(choose("data-dir", "DATA_DIR", "dataDir", config.dataDir), readText, ".data"),
    log: check(choose("log", null, "log", config.log), readLogFormat, "pretty"),
    upstream,
    upstreamTimeoutMs: config.upstream?.timeoutMs ?? 30_000,
    keyPepper: environment["KEY_PEPPER"] || null,
    valkeyUrl,
    jwt: jwt?.settings ?? null,
    passThrough,
    tenants,
    corsOrigins,
    rateLimits: rateLimits.settings,
    cache: resolveCache(config),
    auditContent: config.audit?.content ?? false,
    admin: admin?.settings ?? null,
  };
  return problems.length === 0 ? { ok: true, settings } : { ok: false, problems };
}

function resolveCache({ cache = {} }: ConfigFile): Settings["cache"] {
  const {
    enabled = true,
    store = "memory",
    maxBytes = 67_108_864,
    maxEntries = 100_000,
    statusFor = "everybody",
  } = cache;
  return enabled ? { store, maxBytes, maxEntries, statusFor } : null;
}

type Read<Value> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly rule: string };

function readText(text: string): Read<string> {
  return text === "" ? { ok: false, rule: "must not be empty" } : { ok: true, value: text };
}

function readPort(text: string): Read<number> {
  const port = Number(text);
  if (/^[0-9]{1,5}$/.test(text) && port <= 65_535) return { ok: true, value: port };
  return { ok: false, rule: "must be a whole number from 0 to 65535" };
}

function readValkeyUrl(text: string): Read<string> {
  if (parseValkeyUrl(text) !== null) return { ok: true, value: text };
  return {
    ok: false,
    rule: "must be a valkey:, valkeys:, redis: or rediss: URL, such as valkey://user:password@host:6379/0",
  };
}

function readLogFormat(text: string): Read<Settings["log"]> {
  const format = logFormats.find((known) => known === text);
  return format === undefined ? { ok: false, rule: "must be pretty or json" } : { ok: true, value: format };
}

function readUpstream(text: string, config: ConfigFile, apiKey: string | undefined): Read<UpstreamSettings> {
  const baseUrl = parseUpstreamBaseUrl(text, config.upstream?.allowInsecure ?? false);
  if (!baseUrl.ok) return baseUrl;
  const credential = apiKey || null;
  if (credential !== null && !/^[\x21-\x7e]+$/.test(credential)) {
    return { ok: false, rule: "needs a LETTA_API_KEY of visible ASCII characters" };
  }
  const maxResponseBytes = config.upstream?.maxResponseBytes ?? 8_388_608;
  return { ok: true, value: { kind: "http", baseUrl: baseUrl.value, credential, maxResponseBytes } };
}

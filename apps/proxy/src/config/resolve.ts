/** Resolves the settings of a process from options, variables and the file. `resolve-gateway.ts` resolves those of every runtime. */
import { parseValkeyUrl } from "@letta-environments/platform";
import { toShadowSettings } from "../auth/shadow.ts";
import { isListenHost, isLoopbackHost, listenHostRule, plainAddress, urlHost } from "../lib/hosts.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import { logFormats } from "./file.ts";
import { parseConfigFile } from "./file-schema.ts";
import { ConfigFileSchema } from "./process-schema.ts";
import { resolveAdmin } from "./resolve-auth.ts";
import { resolveMetrics, resolveOtlp } from "./resolve-metrics.ts";
import { resolveGatewaySettings } from "./resolve-gateway.ts";
import type { Settings } from "./settings.ts";

/** The sources of settings. */
export interface SettingSources {
  /** Options of the command line by name, without dashes. */
  readonly flags: Readonly<Record<string, string | undefined>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The parsed file; `undefined` when there is none. */
  readonly file: unknown;
  /** Whether the operator's token, which only a listener compares, may be absent or invalid; absent: it may not. */
  readonly withoutAdminToken?: boolean;
}

/** The settings, or every broken rule. */
export type ResolvedSettings =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly SettingProblem[] };

/** The name of a setting in one of its sources, and its value there. */
type Source = readonly [setting: string, value: string | undefined];

/** Resolves the settings of a process: command line, then environment, then file, then defaults. */
export function resolveSettings({ flags, environment, file, withoutAdminToken }: SettingSources): ResolvedSettings {
  const parsed = parseConfigFile(ConfigFileSchema, file);
  if (!parsed.ok) return parsed;
  const { config } = parsed;
  const problems: SettingProblem[] = [];

  const flag = (name: string): Source => [`--${name}`, flags[name]];
  // Shells and container files write "not set" as an empty variable.
  const variable = (name: string): Source => [name, environment[name] || undefined];

  /** Reads a setting from the first source that has it. */
  function resolve<Value>(sources: readonly Source[], read: (text: string) => Read<Value>, otherwise: Value): Value {
    for (const [setting, value] of sources) {
      if (value === undefined) continue;
      const result = read(value);
      if (result.ok) return result.value;
      problems.push({ setting, rule: result.rule });
      return otherwise;
    }
    return otherwise;
  }

  const valkeyUrl = resolve<string | null>([variable("VALKEY_URL")], readValkeyUrl, null);
  const gateway = resolveGatewaySettings(config, environment, valkeyUrl !== null);
  const admin =
    config.admin === undefined ? null : resolveAdmin(config.admin, environment["ADMIN_TOKEN"], withoutAdminToken);
  const [metrics, otlp] = [resolveMetrics(config), resolveOtlp(config, environment)];
  problems.push(...gateway.problems, ...(admin?.problems ?? []), ...metrics.problems, ...otlp.problems);
  if (config.cache?.store === "valkey" && valkeyUrl === null) {
    problems.push({ setting: "cache.store", rule: "valkey needs VALKEY_URL" });
  }

  const host = resolve([flag("host"), variable("HOST"), ["host", config.host]], readHost, "127.0.0.1");
  const log = resolve([flag("log"), ["log", config.log]], readLogFormat, "pretty");
  const settings: Settings = {
    ...gateway.settings,
    host,
    port: resolve([flag("port"), variable("PORT"), ["port", config.port?.toString()]], readPort, 8787),
    publicUrl: resolve<string | null>(
      [flag("public-url"), variable("PUBLIC_URL"), ["publicUrl", config.publicUrl]],
      parsePublicUrl,
      null,
    ),
    maxOpenFiles: config.maxOpenFiles ?? null,
    dataDir: resolve([flag("data-dir"), variable("DATA_DIR"), ["dataDir", config.dataDir]], readText, ".data"),
    logLevel: config.logLevel ?? "info",
    log,
    console: "console" in flags || (config.console?.enabled ?? (log === "pretty" && isLoopbackHost(urlHost(host)))),
    readinessDelayMs: config.shutdown?.readinessDelayMs ?? defaultReadinessDelayMs,
    keyPepper: environment["KEY_PEPPER"] || null,
    valkeyUrl,
    admin: admin?.settings ?? null,
    shadow: config.shadow === undefined ? null : toShadowSettings(config.shadow.keyIds, config.shadow.rules),
    auditRetentionDays: config.audit?.retentionDays ?? null,
    metrics: metrics.settings,
    otlp: otlp.settings,
  };
  if (admin !== null && cannotBothListen(settings, admin.settings)) {
    problems.push({ setting: "admin.port", rule: "must differ from port, because the listeners share an address" });
  }
  return problems.length === 0 ? { ok: true, settings } : { ok: false, problems };
}

type Listener = Pick<Settings, "host" | "port">;

/** Whether two listeners have the same port of the same address. The system chooses a free port for 0. */
function cannotBothListen(one: Listener, other: Listener): boolean {
  if (one.port !== other.port || one.port === 0) return false;
  const hosts = [one.host, other.host];
  // `::` stands for every address, `0.0.0.0` for those of IPv4.
  const isIpv4 = hosts.every((host) => /^[0-9.]+$/.test(host));
  return one.host === other.host || hosts.includes("::") || (isIpv4 && hosts.includes("0.0.0.0"));
}

/** Long enough for a probe that is already in flight. A load balancer needs several of its probe intervals. */
const defaultReadinessDelayMs = 250;

type Read<Value> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly rule: string };

function readText(text: string): Read<string> {
  return text === "" ? { ok: false, rule: "must not be empty" } : { ok: true, value: text };
}

function readHost(text: string): Read<string> {
  const value = plainAddress(text);
  return isListenHost(value) ? { ok: true, value } : { ok: false, rule: listenHostRule };
}

function readPort(text: string): Read<number> {
  const port = Number(text);
  if (/^[0-9]{1,5}$/.test(text) && port <= 65_535) return { ok: true, value: port };
  return { ok: false, rule: "must be an integer from 0 to 65535" };
}

function readValkeyUrl(text: string): Read<string> {
  if (parseValkeyUrl(text) !== null) return { ok: true, value: text };
  if ((URL.parse(text)?.search ?? "") !== "") {
    return { ok: false, rule: "must have no query: the number of the database is the path, and valkeys: means TLS" };
  }
  return {
    ok: false,
    rule: "must be a valkey:, valkeys:, redis: or rediss: URL, such as valkey://user:password@host:6379/0",
  };
}

function readLogFormat(text: string): Read<Settings["log"]> {
  const format = logFormats.find((known) => known === text);
  return format === undefined ? { ok: false, rule: "must be pretty or json" } : { ok: true, value: format };
}

/** Parses the public URL of the proxy: an http(s) origin with an optional path. The result has no trailing slash. */
function parsePublicUrl(text: string): Read<string> {
  if (!URL.canParse(text)) return { ok: false, rule: "must be an absolute URL" };
  const url = new URL(text);
  if (url.protocol !== "https:" && url.protocol !== "http:")
    return { ok: false, rule: "must be an http: or https: URL" };
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return { ok: false, rule: "must have no user, no query and no fragment" };
  }
  return { ok: true, value: url.origin + url.pathname.replace(/\/+$/, "") };
}

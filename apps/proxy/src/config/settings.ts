/** The settings that the gateway runs with: complete and valid, wherever each comes from. */
import type { ShadowSettings } from "../auth/shadow.ts";
import type { JwtSettings } from "../auth/jwt-settings.ts";
import type { CacheSettings } from "../cache/policy.ts";
import type { MetricsSettings, OtlpSettings } from "../metrics/settings.ts";
import type { ApprovalPolicies, TenantSettings } from "../tenants/settings.ts";
import type { UpstreamSettings } from "../upstream/settings.ts";
import type { LogFormat, LogLevel } from "./file.ts";
import type { RateLimitSettings } from "../limits/settings.ts";

/** The settings of every gateway, on any runtime, resolved and validated. */
export interface GatewaySettings {
  readonly upstream: UpstreamSettings;
  /** How long one request may wait for the upstream, in milliseconds, however many calls it takes. */
  readonly upstreamTimeoutMs: number;
  /** How many calls of one tenant to a remote upstream may run at once. */
  readonly maxConcurrentPerTenant: number;
  /** JWTs that are accepted in addition to gateway keys; `null`: none. */
  readonly jwt: JwtSettings | null;
  /** Whether callers may send their own upstream key. */
  readonly passThrough: boolean;
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  /** The policies that decide on requests for permission when nobody does; `null`: there are none. */
  readonly approvals: ApprovalPolicies | null;
  /** Origins of web pages that may call the gateway, as browsers write them. */
  readonly corsOrigins: readonly string[];
  /** Whether the audit log contains the messages. */
  readonly auditContent: boolean;
  readonly rateLimits: RateLimitSettings;
  /** How responses to reads are cached; `null`: not at all. */
  readonly cache: CacheSettings | null;
}

/** The settings of a process: those of every gateway, and those of its host. */
export interface Settings extends GatewaySettings {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Origin and path under which devices and callers reach the proxy; `null`: the origin of each request. */
  readonly publicUrl: string | null;
  readonly dataDir: string;
  /** Files and sockets that the process may have open; `null`: the limit of the process. */
  readonly maxOpenFiles: number | null;
  readonly log: LogFormat;
  readonly logLevel: LogLevel;
  /** Whether the web console is served at `/console`. */
  readonly console: boolean;
  /** How long requests are accepted after SIGTERM while `/readyz` is 503, in milliseconds. */
  readonly readinessDelayMs: number;
  /** `KEY_PEPPER`; `null`: the file in the data directory. */
  readonly keyPepper: string | null;
  /** `VALKEY_URL`, where keys are stored; `null`: SQLite in the data directory. It can contain a password and is never shown. */
  readonly valkeyUrl: string | null;
  /** Keys whose restrictions are logged and not enforced; `null`: none. */
  readonly shadow: ShadowSettings | null;
  /** Days after which records of the audit log are dropped; `null`: never. */
  readonly auditRetentionDays: number | null;
  readonly metrics: MetricsSettings;
  /** Where metrics and spans are pushed; `null`: nowhere. */
  readonly otlp: OtlpSettings | null;
  /** A separate listener for the administration of keys and devices; `null`: the main listener serves it. */
  readonly admin: AdminSettings | null;
}

/** The separate listener for the administration. */
export interface AdminSettings {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly hostnames: readonly string[];
  /** `ADMIN_TOKEN`. Never shown. */
  readonly token: string;
}

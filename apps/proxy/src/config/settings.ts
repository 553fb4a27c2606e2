import type { AdminSettings } from "../admin/settings.ts";
import type { JwtSettings } from "../auth/jwt-settings.ts";
import type { CacheSettings } from "../cache/settings.ts";
import type { TenantSettings } from "../tenants/settings.ts";
import type { UpstreamSettings } from "../upstream/settings.ts";
import type { LogFormat } from "./file.ts";
import type { RateLimitSettings } from "../limits/settings.ts";

/** What every gateway is told, wherever it runs, resolved and checked. */
export interface GatewaySettings {
  readonly upstream: UpstreamSettings;
  readonly upstreamTimeoutMs: number;
  /** Tokens that are accepted beside gateway keys; `null` means none. */
  readonly jwt: JwtSettings | null;
  /** Whether callers may bring their own key of the upstream. */
  readonly passThrough: boolean;
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  /** Origins of web pages that may call, as browsers write them. */
  readonly corsOrigins: readonly string[];
  /** Whether the audit log keeps what was sent. */
  readonly auditContent: boolean;
  readonly rateLimits: RateLimitSettings;
  /** How answers to reads are kept; `null`: not at all. */
  readonly cache: CacheSettings | null;
}

/** Everything a process is told: what every gateway is, and what needs a machine. */
export interface Settings extends GatewaySettings {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Origin and path under which devices and callers reach the proxy; `null` when each request tells. */
  readonly publicUrl: string | null;
  readonly dataDir: string;
  readonly log: LogFormat;
  /** `KEY_PEPPER`; `null` means the file in the data directory. */
  readonly keyPepper: string | null;
  /** `VALKEY_URL`: where keys are kept; `null` means SQLite in the data directory. It may hold a password and is never shown. */
  readonly valkeyUrl: string | null;
  /** A listener of its own for the administration of keys; `null`: the main one has it. */
  readonly admin: AdminSettings | null;
}

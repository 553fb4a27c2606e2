import type { Scope } from "@letta-environments/schema";
import type { UpstreamBaseUrl } from "../upstream/upstream-base-url.ts";
import type { RateLimitSettings } from "./rate-limit-settings.ts";
import type { CacheStatusAudience, ClaimPath, LogFormat } from "./config-file.ts";

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

/** How answers to reads are kept. */
export interface CacheSettings {
  readonly store: "memory" | "valkey";
  readonly maxBytes: number;
  readonly maxEntries: number;
  readonly statusFor: CacheStatusAudience;
}

/** The administration listener. */
export interface AdminSettings {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly hostnames: readonly string[];
  /** `ADMIN_TOKEN`. Never shown. */
  readonly token: string;
}

/** What stands behind the proxy. */
export type UpstreamSettings =
  | { readonly kind: "embedded" }
  | {
      readonly kind: "http";
      readonly baseUrl: UpstreamBaseUrl;
      /** `LETTA_API_KEY`. Never shown. */
      readonly credential: string | null;
      readonly maxResponseBytes: number;
    };

/** What is said of a tenant. */
export interface TenantSettings {
  /** `null`: `LETTA_API_KEY`. */
  readonly credential: CredentialSource | null;
  /** What callers without scope `details` see as `organizationId`; `null`: the tenant's own name. */
  readonly publicName: string | null;
  /** The only devices that any key of the tenant may use, by id and by patterns of names; both `null`: every device. */
  readonly deviceIds: readonly string[] | null;
  readonly connectionNames: readonly string[] | null;
}

/** Where a credential for the upstream is found. */
export type CredentialSource =
  | { readonly kind: "environment"; readonly variable: string; readonly value: string }
  | { readonly kind: "file"; readonly path: string };

/** Which tokens (RFC 7519) are accepted, and who their bearer is. */
export interface JwtSettings {
  readonly issuer: string;
  readonly audience: readonly string[];
  readonly jwksUrl: string;
  /** Asymmetric ones only. */
  readonly algorithms: readonly string[];
  /** The `typ` that a token must have. */
  readonly type: string;
  readonly clockToleranceMs: number;
  readonly maxTokenBytes: number;
  /** Age from which the key set is read again, beside the requests. */
  readonly jwksMaxAgeMs: number;
  /** Age up to which the key set stays usable while the issuer cannot be reached. */
  readonly jwksStaleMs: number;
  /** Shortest time between two reads of the key set, whatever callers send. */
  readonly jwksCooldownMs: number;
  readonly jwksTimeoutMs: number;
  /** Tenant of every token; `null` when a claim tells. */
  readonly tenant: string | null;
  readonly claims: ClaimSettings;
  /** Scopes by what the scopes claim holds; `null`: by their own names, but for `connect`. `admin` is never a token's. */
  readonly scopeMap: ReadonlyMap<string, readonly Scope[]> | null;
}

/** Where in a token the members of the principal are; `null`: not in it. */
export interface ClaimSettings {
  readonly tenant: ClaimPath | null;
  readonly scopes: ClaimPath;
  readonly owner: ClaimPath;
  readonly deviceIds: ClaimPath | null;
  readonly connectionNames: ClaimPath | null;
  readonly agentIds: ClaimPath | null;
  readonly maxMode: ClaimPath | null;
}

/** A setting that breaks a rule. The value is not repeated: it may be a secret. */
export interface SettingProblem {
  /** Where it was set: `--port`, `PORT`, or the member of the file, such as `upstream.url`. */
  readonly setting: string;
  readonly rule: string;
}

/** `proxy.config.json` as people write it. `file-schema.ts` validates it, and `resolve.ts` makes settings of it. */
import type { Scope } from "@letta-environments/schema";
import type { ShadowRule } from "../auth/shadow.ts";
import type { ClaimPath, ClaimSettings, JwtAlgorithm, JwtSettings } from "../auth/jwt-settings.ts";
import type { CacheSettings } from "../cache/policy.ts";
import type { IdentityLabel, OtlpSettings } from "../metrics/settings.ts";
import type { LimitedRoute, RateLimitStoreName } from "../limits/settings.ts";
import type { RateLimitDimension, RateLimitPolicy } from "../rate-limit/policy.ts";

/** The content of `proxy.config.json`. Secrets do not belong there: they come from the environment or from separate files. */
export interface ConfigFile {
  /** For editors; not read. */
  $schema?: string;
  host?: string;
  port?: number;
  publicUrl?: string;
  dataDir?: string;
  maxOpenFiles?: number;
  log?: LogFormat;
  logLevel?: LogLevel;
  upstream?: {
    /** Absent: the embedded environment server. */
    url?: string;
    /** Accept an `http:` upstream that is not on loopback. */
    allowInsecure?: boolean;
    timeoutMs?: number;
    maxResponseBytes?: number;
    maxConcurrentPerTenant?: number;
  };
  auth?: { jwt?: JwtFile; passThrough?: boolean };
  tenants?: Record<string, TenantFile>;
  approvals?: ApprovalsFile;
  console?: { enabled?: boolean };
  cors?: { origins: string[] };
  audit?: { content?: boolean; retentionDays?: number };
  admin?: AdminFile;
  rateLimits?: RateLimitsFile;
  cache?: CacheFile;
  shutdown?: { readinessDelayMs?: number };
  shadow?: { keyIds: string[]; rules?: ShadowRule[] };
  metrics?: { enabled?: boolean; labels?: IdentityLabel[] };
  otlp?: OtlpFile;
}

/** `otlp` of the file: a receiver of metrics and spans. Credentials come from `OTEL_EXPORTER_OTLP_HEADERS`. */
export type OtlpFile = Partial<Omit<OtlpSettings, "headers">>;

/** The policies that decide on requests for permission when nobody does. */
export interface ApprovalPolicyFile {
  deniedTools?: string[];
  deadlineMs?: number;
}

/** `approvals` of the file: a policy for everybody, and policies for tenants and keys. */
export interface ApprovalsFile extends ApprovalPolicyFile {
  tenants?: Record<string, ApprovalPolicyFile>;
  keys?: Record<string, ApprovalPolicyFile>;
}

/** `cache` of the file. */
export interface CacheFile extends Partial<CacheSettings> {
  enabled?: boolean;
}

/** `admin` of the file: a separate listener for the administration. */
export interface AdminFile {
  host?: string;
  port: number;
  /** Accept a host that is not loopback. */
  allowRemote?: boolean;
  /** Host names under which the listener is reached, in addition to addresses and `localhost`. */
  hostnames?: string[];
}

/** Log format: text for people, or one JSON object per line. */
export const logFormats = ["pretty", "json"] as const;

export type LogFormat = (typeof logFormats)[number];

/** Levels of events in the log, the lowest first. */
export const logLevels = ["debug", "info", "warn", "error"] as const;

export type LogLevel = (typeof logLevels)[number];

/** `auth.jwt` of the file. */
export interface JwtFile extends Partial<
  Omit<JwtSettings, "audience" | "algorithms" | "tenant" | "claims" | "scopeMap">
> {
  issuer: string;
  jwksUrl: string;
  audience: string | string[];
  algorithms?: JwtAlgorithm[];
  tenant?: string;
  claims?: { [Member in keyof ClaimSettings]?: ClaimPath };
  scopeMap?: Record<string, Scope[]>;
}

/** A member of `tenants` of the file. */
export interface TenantFile {
  upstream?: { credentialEnv?: string; credentialFile?: string };
  publicName?: string;
  deviceIds?: string[];
  connectionNames?: string[];
}

/** A policy of `rateLimits.policies`. */
export interface RateLimitPolicyFile extends Partial<Omit<RateLimitPolicy, "name" | "limit">> {
  per: RateLimitDimension[];
  limit: number;
  routes?: LimitedRoute[];
  costs?: Partial<Record<LimitedRoute, number>>;
}

/** `rateLimits` of the file. */
export interface RateLimitsFile {
  enabled?: boolean;
  store?: RateLimitStoreName;
  deadlineMs?: number;
  instances?: number;
  trustedHops?: number;
  clientAddressHeader?: "x-forwarded-for" | "forwarded";
  policies?: Record<string, RateLimitPolicyFile>;
  exempt?: { keyIds?: string[]; tenants?: string[]; addresses?: string[] };
}

/** Validates `proxy.config.json`. `process-schema.ts` adds the members that only a process has. */
import { describeIssues, type Scope, scopes } from "@letta-environments/schema";
import * as v from "valibot";
import { type ClaimPath, jwtAlgorithms } from "../auth/jwt-settings.ts";
import { cacheStatusAudiences, cacheStoreNames } from "../cache/policy.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import { oneOf, record } from "../lib/strict-schemas.ts";
import { type LimitedRoute, limitedRoutes, rateLimitStoreNames } from "../limits/settings.ts";
import { rateLimitDimensions, rateLimitFailureModes } from "../rate-limit/policy.ts";
import {
  type AdminFile,
  type ApprovalPolicyFile,
  type ApprovalsFile,
  type ConfigFile,
  type JwtFile,
  logFormats,
  type RateLimitPolicyFile,
  type RateLimitsFile,
  type TenantFile,
} from "./file.ts";
import { list, number, object, text } from "./schema-helpers.ts";

const ClaimPathSchema: v.GenericSchema<unknown, ClaimPath> = v.union(
  [text(256), list(text(256), 8)],
  "must be the name of a claim, or the list of names that leads to it",
);

/** Only gateway keys can have the scope `admin`. */
const tokenScopes = scopes.filter((scope) => scope !== "admin");
const ScopeSchema: v.GenericSchema<unknown, Scope> = oneOf(tokenScopes);

const JwtSchema: v.GenericSchema<unknown, JwtFile> = object({
  issuer: text(512),
  audience: v.union([text(512), list(text(512), 16)], "must be a string or a list of strings"),
  jwksUrl: text(2_048),
  algorithms: v.exactOptional(list(oneOf(jwtAlgorithms), jwtAlgorithms.length)),
  type: v.exactOptional(text(64)),
  clockToleranceMs: v.exactOptional(number(0, 300_000)),
  maxTokenBytes: v.exactOptional(number(256, 65_536)),
  jwksMaxAgeMs: v.exactOptional(number(1_000, 86_400_000)),
  jwksStaleMs: v.exactOptional(number(1_000, 2_592_000_000)),
  jwksCooldownMs: v.exactOptional(number(1_000, 3_600_000)),
  jwksTimeoutMs: v.exactOptional(number(100, 60_000)),
  tenant: v.exactOptional(text(128)),
  claims: v.exactOptional(
    object({
      tenant: v.exactOptional(ClaimPathSchema),
      scopes: v.exactOptional(ClaimPathSchema),
      owner: v.exactOptional(ClaimPathSchema),
      deviceIds: v.exactOptional(ClaimPathSchema),
      connectionNames: v.exactOptional(ClaimPathSchema),
      deviceTags: v.exactOptional(ClaimPathSchema),
      agentIds: v.exactOptional(ClaimPathSchema),
      maxMode: v.exactOptional(ClaimPathSchema),
    }),
  ),
  scopeMap: v.exactOptional(record(text(256), list(ScopeSchema, tokenScopes.length))),
});

const TenantSchema: v.GenericSchema<unknown, TenantFile> = object({
  upstream: v.exactOptional(
    object({
      credentialEnv: v.exactOptional(text(128)),
      credentialFile: v.exactOptional(text(4_096)),
    }),
  ),
  publicName: v.exactOptional(text(128)),
  deviceIds: v.exactOptional(list(text(128), 10_000)),
  connectionNames: v.exactOptional(list(text(128), 1_000)),
});

const approvalPolicy = {
  deniedTools: v.exactOptional(list(text(128), 1_000)),
  deadlineMs: v.exactOptional(number(1_000, 604_800_000)),
};

const ApprovalPolicySchema: v.GenericSchema<unknown, ApprovalPolicyFile> = object(approvalPolicy);

const ApprovalsSchema: v.GenericSchema<unknown, ApprovalsFile> = object({
  ...approvalPolicy,
  tenants: v.exactOptional(record(text(128), ApprovalPolicySchema)),
  keys: v.exactOptional(record(text(128), ApprovalPolicySchema)),
});

const AdminSchema: v.GenericSchema<unknown, AdminFile> = object({
  host: v.exactOptional(text()),
  port: number(0, 65_535),
  allowRemote: v.exactOptional(v.boolean()),
  hostnames: v.exactOptional(list(text(253), 100)),
});

const costs = Object.fromEntries(limitedRoutes.map((route) => [route, v.exactOptional(number(0, 1_000_000))])) as {
  readonly [Route in LimitedRoute]: v.ExactOptionalSchema<v.GenericSchema<unknown, number>, undefined>;
};

const PolicySchema: v.GenericSchema<unknown, RateLimitPolicyFile> = object({
  per: list(oneOf(rateLimitDimensions), 5),
  limit: number(1, 1_000_000_000),
  windowMs: v.exactOptional(number(1, 31_536_000_000)),
  burst: v.exactOptional(number(1, 1_000_000_000)),
  unit: v.exactOptional(v.picklist(["requests", "concurrent-requests"], "must be requests or concurrent-requests")),
  routes: v.exactOptional(list(oneOf(limitedRoutes), limitedRoutes.length)),
  costs: v.exactOptional(object(costs)),
  mode: v.exactOptional(v.picklist(["enforce", "shadow"], "must be enforce or shadow")),
  onStoreError: v.exactOptional(oneOf(rateLimitFailureModes)),
});

const RateLimitsSchema: v.GenericSchema<unknown, RateLimitsFile> = object({
  enabled: v.exactOptional(v.boolean()),
  store: v.exactOptional(oneOf(rateLimitStoreNames)),
  deadlineMs: v.exactOptional(number(1, 10_000)),
  instances: v.exactOptional(number(1, 10_000)),
  trustedHops: v.exactOptional(number(0, 16)),
  clientAddressHeader: v.exactOptional(
    v.picklist(["x-forwarded-for", "forwarded"], "must be x-forwarded-for or forwarded"),
  ),
  policies: v.exactOptional(record(text(64), PolicySchema)),
  exempt: v.exactOptional(
    object({
      keyIds: v.exactOptional(list(text(128), 10_000)),
      tenants: v.exactOptional(list(text(128), 10_000)),
      addresses: v.exactOptional(list(text(64), 10_000)),
    }),
  ),
});

/** A member of the file that can be absent. */
type OptionalMember<Value> = v.ExactOptionalSchema<v.GenericSchema<unknown, Value>, undefined>;

/** Members that only a process has, see `process-schema.ts`. */
type ProcessMember = "logLevel" | "shadow" | "metrics" | "otlp";

/** The members of the file that every runtime has. */
export const fileEntries: {
  readonly [Name in Exclude<keyof ConfigFile, ProcessMember>]-?: OptionalMember<Exclude<ConfigFile[Name], undefined>>;
} = {
  $schema: v.exactOptional(v.string()),
  host: v.exactOptional(text()),
  port: v.exactOptional(number(0, 65_535)),
  publicUrl: v.exactOptional(text()),
  dataDir: v.exactOptional(text()),
  maxOpenFiles: v.exactOptional(number(100, 10_000_000)),
  log: v.exactOptional(v.picklist(logFormats)),
  upstream: v.exactOptional(
    object({
      url: v.exactOptional(text()),
      allowInsecure: v.exactOptional(v.boolean()),
      timeoutMs: v.exactOptional(number(1, 600_000)),
      maxResponseBytes: v.exactOptional(number(1, 268_435_456)),
      maxConcurrentPerTenant: v.exactOptional(number(1, 100_000)),
    }),
  ),
  auth: v.exactOptional(
    object({
      jwt: v.exactOptional(JwtSchema),
      passThrough: v.exactOptional(v.boolean()),
    }),
  ),
  tenants: v.exactOptional(record(text(128), TenantSchema)),
  approvals: v.exactOptional(ApprovalsSchema),
  admin: v.exactOptional(AdminSchema),
  console: v.exactOptional(
    object({
      enabled: v.exactOptional(v.boolean()),
    }),
  ),
  cors: v.exactOptional(
    object({
      origins: list(text(512), 1_000),
    }),
  ),
  cache: v.exactOptional(
    object({
      enabled: v.exactOptional(v.boolean()),
      store: v.exactOptional(oneOf(cacheStoreNames)),
      maxBytes: v.exactOptional(number(1_048_576, 17_179_869_184)),
      maxEntries: v.exactOptional(number(1, 10_000_000)),
      statusFor: v.exactOptional(oneOf(cacheStatusAudiences)),
    }),
  ),
  rateLimits: v.exactOptional(RateLimitsSchema),
  shutdown: v.exactOptional(
    object({
      readinessDelayMs: v.exactOptional(number(0, 300_000)),
    }),
  ),
  audit: v.exactOptional(
    object({ content: v.exactOptional(v.boolean()), retentionDays: v.exactOptional(number(1, 36_500)) }),
  ),
};

const ignored = v.exactOptional(v.unknown());

/**
 * Validates the file on a runtime without its own process. An unknown setting is an error; a setting that only a process has is ignored, so that both
 * kinds can share a file.
 */
export const GatewayFileSchema: v.GenericSchema<unknown, ConfigFile> = object({
  ...fileEntries,
  logLevel: ignored,
  shadow: ignored,
  metrics: ignored,
  otlp: ignored,
}) as v.GenericSchema<unknown, ConfigFile>;

/** Validates a parsed configuration file; `undefined` stands for no file. */
export function parseConfigFile(
  schema: v.GenericSchema<unknown, ConfigFile>,
  file: unknown,
):
  | { readonly ok: true; readonly config: ConfigFile }
  | { readonly ok: false; readonly problems: readonly SettingProblem[] } {
  const parsed = v.safeParse(schema, file === undefined ? {} : file);
  if (parsed.success) return { ok: true, config: parsed.output };
  const issues = describeIssues(parsed.issues, "the configuration file");
  return { ok: false, problems: issues.map(({ member, rule }) => ({ setting: member, rule })) };
}

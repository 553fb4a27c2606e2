/** Validates `proxy.config.json`, and describes it for editors. `process-schema.ts` adds the members that only a process has. */
import { describeIssues, type Scope, scopes } from "@letta-environments/schema";
import * as v from "valibot";
import { scopesGrantedByName } from "../auth/jwt-claims.ts";
import { type ClaimPath, jwtAlgorithms } from "../auth/jwt-settings.ts";
import { cacheStatusAudiences } from "../cache/policy.ts";
import type { SettingProblem } from "../lib/setting-rules.ts";
import { oneOf } from "../lib/strict-schemas.ts";
import {
  type AdminFile,
  type ApprovalPolicyFile,
  type ApprovalsFile,
  type ConfigFile,
  type JwtFile,
  logFormats,
  type TenantFile,
} from "./file.ts";
import { RateLimitsSchema } from "./rate-limits-schema.ts";
import { list, number, object, record, setting, text } from "./schema-helpers.ts";

const ClaimPathSchema: v.GenericSchema<unknown, ClaimPath> = v.union(
  [text(256), list(text(256), 8)],
  "must be the name of a claim, or a list of names that leads to one",
);

/** Only gateway keys can have the scope `admin`. */
const tokenScopes = scopes.filter((scope) => scope !== "admin");
const ScopeSchema: v.GenericSchema<unknown, Scope> = oneOf(tokenScopes);

const claim = (what: string): string =>
  `Claim with ${what}: its name, or a list of names that leads to it through nested objects.`;

const JwtSchema: v.GenericSchema<unknown, JwtFile> = object({
  issuer: setting(text(512), "The exact value of `iss`."),
  audience: setting(
    v.union([text(512), list(text(512), 16)], "must be a text or a list of texts"),
    "`aud` must contain one of these values.",
  ),
  jwksUrl: setting(text(2_048), "URL of the issuer's JWKS. https:, except for loopback. Redirects are not followed."),
  algorithms: v.exactOptional(
    setting(
      list(oneOf(jwtAlgorithms), jwtAlgorithms.length),
      "Signature algorithms that are accepted. Default: RS256, PS256, ES256, EdDSA, Ed25519.",
    ),
  ),
  type: v.exactOptional(setting(text(64), "The value of `typ` in the header. Default: at+jwt (RFC 9068).")),
  clockToleranceMs: v.exactOptional(
    setting(number(0, 300_000), "Tolerated difference to the issuer's clock, in milliseconds. Default: 5000."),
  ),
  maxTokenBytes: v.exactOptional(setting(number(256, 65_536), "Maximum length of a token. Default: 8192.")),
  jwksMaxAgeMs: v.exactOptional(
    setting(number(1_000, 86_400_000), "Age from which the JWKS is reloaded. Default: 600000 (10 minutes)."),
  ),
  jwksStaleMs: v.exactOptional(
    setting(
      number(1_000, 2_592_000_000),
      "Age up to which the JWKS stays usable while the issuer is unreachable. Default: 86400000 (a day).",
    ),
  ),
  jwksCooldownMs: v.exactOptional(
    setting(number(1_000, 3_600_000), "Shortest time between two reloads of the JWKS. Default: 30000."),
  ),
  jwksTimeoutMs: v.exactOptional(setting(number(100, 60_000), "Timeout of a reload, in milliseconds. Default: 5000.")),
  tenant: v.exactOptional(setting(text(128), "Tenant of every token, instead of claims.tenant.")),
  claims: v.exactOptional(
    object({
      tenant: v.exactOptional(setting(ClaimPathSchema, claim("the tenant"))),
      scopes: v.exactOptional(
        setting(ClaimPathSchema, claim("the scopes, in a text separated by spaces or in a list (default scope)")),
      ),
      owner: v.exactOptional(setting(ClaimPathSchema, claim("the owner's name (default sub)"))),
      deviceIds: v.exactOptional(setting(ClaimPathSchema, claim("the ids of the only devices that the token may use"))),
      connectionNames: v.exactOptional(setting(ClaimPathSchema, claim("patterns of the names of those devices"))),
      deviceTags: v.exactOptional(setting(ClaimPathSchema, claim("tags; those devices need at least one of them"))),
      agentIds: v.exactOptional(
        setting(ClaimPathSchema, claim("the ids of the only agents that the token may address")),
      ),
      maxMode: v.exactOptional(
        setting(ClaimPathSchema, claim("the maximum mode of a device to which the token may send")),
      ),
    }),
  ),
  scopeMap: v.exactOptional(
    setting(
      record(text(256), list(ScopeSchema, tokenScopes.length)),
      `Scopes of the gateway by the values of the scopes claim. Default: ${scopesGrantedByName.join(", ")} by their own names.`,
    ),
  ),
});

const TenantSchema: v.GenericSchema<unknown, TenantFile> = object({
  upstream: v.exactOptional(
    object({
      credentialEnv: v.exactOptional(
        setting(
          text(128),
          "Environment variable with the tenant's credential for the upstream. Default: LETTA_API_KEY.",
        ),
      ),
      credentialFile: v.exactOptional(
        setting(text(4_096), "File with the credential. It is read again when it changes."),
      ),
    }),
  ),
  publicName: v.exactOptional(
    setting(text(128), "Shown as organizationId to callers without the scope details. Default: the tenant's name."),
  ),
  deviceIds: v.exactOptional(
    setting(list(text(128), 10_000), "The only devices that keys of the tenant may use, by id."),
  ),
  connectionNames: v.exactOptional(
    setting(list(text(128), 1_000), "The same by name patterns; * matches any characters."),
  ),
});

const approvalPolicy = {
  deniedTools: v.exactOptional(
    setting(list(text(128), 1_000), "Tools that are always denied, by name patterns such as Bash or Web*."),
  ),
  deadlineMs: v.exactOptional(
    setting(
      number(1_000, 604_800_000),
      "How long a request for permission waits before it is denied. Default: no limit.",
    ),
  ),
};

const ApprovalPolicySchema: v.GenericSchema<unknown, ApprovalPolicyFile> = object(approvalPolicy);

const ApprovalsSchema: v.GenericSchema<unknown, ApprovalsFile> = object({
  ...approvalPolicy,
  tenants: v.exactOptional(setting(record(text(128), ApprovalPolicySchema), "Further policies of tenants, by name.")),
  keys: v.exactOptional(setting(record(text(128), ApprovalPolicySchema), "Further policies of keys, by id.")),
});

const AdminSchema: v.GenericSchema<unknown, AdminFile> = object({
  host: v.exactOptional(setting(text(), "Address of the administration listener. Default: 127.0.0.1.")),
  port: setting(
    number(0, 65_535),
    "Its port; 0 lets the system choose. The main listener then serves no administration.",
  ),
  allowRemote: v.exactOptional(setting(v.boolean(), "Accept a host that is not loopback. Default: false.")),
  hostnames: v.exactOptional(
    setting(list(text(253), 100), "Host names under which it is reached, in addition to addresses and localhost."),
  ),
});

/** A member of the file that can be absent. */
type OptionalMember<Value> = v.ExactOptionalSchema<v.GenericSchema<unknown, Value>, undefined>;

/** `audit` of the file. */
export const auditEntries: { readonly content: OptionalMember<boolean> } = {
  content: v.exactOptional(setting(v.boolean(), "Whether the audit log contains the messages. Default: false.")),
};

/** Members that only a process has, see `process-schema.ts`. */
type ProcessMember = "logLevel" | "shadow" | "metrics" | "otlp";

/** The members of the file that every runtime has. */
export const fileEntries: {
  readonly [Name in Exclude<keyof ConfigFile, ProcessMember>]-?: OptionalMember<Exclude<ConfigFile[Name], undefined>>;
} = {
  $schema: v.exactOptional(setting(v.string(), "For editors; not read.")),
  host: v.exactOptional(setting(text(), "Address to listen on. Default: 127.0.0.1.")),
  port: v.exactOptional(setting(number(0, 65_535), "Port to listen on; 0 lets the system choose. Default: 8787.")),
  publicUrl: v.exactOptional(setting(text(), "URL under which devices and callers reach the proxy.")),
  dataDir: v.exactOptional(setting(text(), "Directory of keys, devices and logs. Default: .data.")),
  maxOpenFiles: v.exactOptional(
    setting(
      number(100, 10_000_000),
      "Files and sockets that the process may have open. Default: the limit of the process, or 1024 on Deno.",
    ),
  ),
  log: v.exactOptional(setting(v.picklist(logFormats), "Log format. Default: pretty.")),
  upstream: v.exactOptional(
    object({
      url: v.exactOptional(setting(text(), "URL of the upstream. Default: the embedded environment server.")),
      allowInsecure: v.exactOptional(setting(v.boolean(), "Accept an http: upstream that is not on loopback.")),
      timeoutMs: v.exactOptional(
        setting(number(1, 600_000), "Timeout of upstream calls for one request, in milliseconds. Default: 30000."),
      ),
      maxResponseBytes: v.exactOptional(
        setting(number(1, 268_435_456), "Maximum size of an upstream response. Default: 8388608 (8 MiB)."),
      ),
      maxConcurrentPerTenant: v.exactOptional(
        setting(number(1, 100_000), "How many calls of one tenant to the upstream may run at once. Default: 128."),
      ),
    }),
  ),
  auth: v.exactOptional(
    object({
      jwt: v.exactOptional(JwtSchema),
      passThrough: v.exactOptional(
        setting(v.boolean(), "Forward a caller's own key of the HTTP upstream. Default: false."),
      ),
    }),
  ),
  tenants: v.exactOptional(setting(record(text(128), TenantSchema), "Settings of tenants, by name.")),
  approvals: v.exactOptional(
    setting(ApprovalsSchema, "What decides on requests of devices for permission to use a tool when nobody does."),
  ),
  admin: v.exactOptional(AdminSchema),
  console: v.exactOptional(
    object({
      enabled: v.exactOptional(
        setting(
          v.boolean(),
          "Whether the web console is served at /console. Default: on loopback with the pretty log.",
        ),
      ),
    }),
  ),
  cors: v.exactOptional(
    object({
      origins: setting(
        list(text(512), 1_000),
        "Origins of web pages that may call the gateway, such as https://console.example.",
      ),
    }),
  ),
  cache: v.exactOptional(
    object({
      enabled: v.exactOptional(setting(v.boolean(), "Whether responses to reads are cached. Default: true.")),
      store: v.exactOptional(
        setting(
          v.picklist(["memory", "valkey"], "must be memory or valkey"),
          "Store of the cache. Default: memory. valkey (VALKEY_URL) shares it between gateways and costs a round trip.",
        ),
      ),
      maxBytes: v.exactOptional(
        setting(number(1_048_576, 17_179_869_184), "Maximum memory of cached responses. Default: 67108864 (64 MiB)."),
      ),
      maxEntries: v.exactOptional(
        setting(number(1, 10_000_000), "Maximum number of cached responses. Default: 100000."),
      ),
      statusFor: v.exactOptional(
        setting(
          oneOf(cacheStatusAudiences),
          "Who sees Cache-Status: everybody, keys of scope details, or nobody. Default: everybody.",
        ),
      ),
    }),
  ),
  rateLimits: v.exactOptional(RateLimitsSchema),
  shutdown: v.exactOptional(
    object({
      readinessDelayMs: v.exactOptional(
        setting(
          number(0, 300_000),
          "How long the listener stays open after SIGTERM while /readyz is 503, in milliseconds. Default: 250.",
        ),
      ),
    }),
  ),
  audit: v.exactOptional(object(auditEntries)),
};

const ignored = v.exactOptional(v.unknown());

/**
 * The file of a runtime that is no process, strict: a misspelt setting is an error. What only a process has is ignored, so that both can share a file.
 */
export const GatewayFileSchema: v.GenericSchema<unknown, ConfigFile> = object({
  ...fileEntries,
  audit: v.exactOptional(object({ ...auditEntries, retentionDays: v.exactOptional(number(1, 36_500)) })),
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

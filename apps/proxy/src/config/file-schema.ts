import { type Scope, scopes } from "@letta-environments/schema";
import * as v from "valibot";
import { type ClaimPath, jwtAlgorithms } from "../auth/jwt-settings.ts";
import { cacheStatusAudiences } from "../cache/settings.ts";
import { oneOf } from "../lib/strict-schemas.ts";
import { type AdminFile, type ConfigFile, type JwtFile, logFormats, type TenantFile } from "./file.ts";
import { RateLimitsSchema } from "./rate-limits-schema.ts";
import { list, number, object, record, setting, text } from "./schema-helpers.ts";

const ClaimPathSchema: v.GenericSchema<unknown, ClaimPath> = v.union(
  [text(256), list(text(256), 8)],
  "must be the name of a claim, or a list of names that leads to one",
);

/** Keys are administered with gateway keys alone. */
const tokenScopes = scopes.filter((scope) => scope !== "admin");
const ScopeSchema: v.GenericSchema<unknown, Scope> = oneOf(tokenScopes);

const claim = (what: string): string =>
  `Claim with ${what}: its name, or a list of names that leads to it through nested objects.`;

const JwtSchema: v.GenericSchema<unknown, JwtFile> = object({
  issuer: setting(text(512), "What `iss` must be, character for character."),
  audience: setting(
    v.union([text(512), list(text(512), 16)], "must be a text or a list of texts"),
    "What `aud` must hold: one of these.",
  ),
  jwksUrl: setting(
    text(2_048),
    "Where the issuer publishes its keys. https:, but for loopback; redirects are not followed.",
  ),
  algorithms: v.exactOptional(
    setting(
      list(oneOf(jwtAlgorithms), jwtAlgorithms.length),
      "Signature algorithms that are accepted. Default: RS256, PS256, ES256, EdDSA, Ed25519.",
    ),
  ),
  type: v.exactOptional(setting(text(64), "What the header's `typ` must be. Default: at+jwt (RFC 9068).")),
  clockToleranceMs: v.exactOptional(
    setting(number(0, 300_000), "How far the issuer's clock may be off, in milliseconds. Default: 5000."),
  ),
  maxTokenBytes: v.exactOptional(setting(number(256, 65_536), "Longest token that is looked at. Default: 8192.")),
  jwksMaxAgeMs: v.exactOptional(
    setting(number(1_000, 86_400_000), "Age from which the keys are read again. Default: 600000 (10 minutes)."),
  ),
  jwksStaleMs: v.exactOptional(
    setting(
      number(1_000, 2_592_000_000),
      "Age up to which keys stay usable while the issuer cannot be reached. Default: 86400000 (a day).",
    ),
  ),
  jwksCooldownMs: v.exactOptional(
    setting(number(1_000, 3_600_000), "Shortest time between two reads of the keys. Default: 30000."),
  ),
  jwksTimeoutMs: v.exactOptional(setting(number(100, 60_000), "Time a read of the keys may take. Default: 5000.")),
  tenant: v.exactOptional(setting(text(128), "Tenant of every token; instead of claims.tenant.")),
  claims: v.exactOptional(
    object({
      tenant: v.exactOptional(setting(ClaimPathSchema, claim("the tenant"))),
      scopes: v.exactOptional(
        setting(ClaimPathSchema, claim("the scopes, in a text separated by spaces or in a list (default scope)")),
      ),
      owner: v.exactOptional(setting(ClaimPathSchema, claim("the owner's name (default sub)"))),
      deviceIds: v.exactOptional(setting(ClaimPathSchema, claim("the ids of the devices that the bearer is held to"))),
      connectionNames: v.exactOptional(setting(ClaimPathSchema, claim("patterns of the names of those devices"))),
      agentIds: v.exactOptional(setting(ClaimPathSchema, claim("the ids of the agents that the bearer is held to"))),
      maxMode: v.exactOptional(
        setting(ClaimPathSchema, claim("the freest mode of a device that the bearer may send to")),
      ),
    }),
  ),
  scopeMap: v.exactOptional(
    setting(
      record(text(256), list(ScopeSchema, tokenScopes.length)),
      "Scopes of the gateway by what the scopes claim holds. Without it, list, read, send, approve and details by their own names.",
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
        setting(text(4_096), "File with the credential; it is read again when it changes."),
      ),
    }),
  ),
  publicName: v.exactOptional(
    setting(text(128), "What callers without scope details see as organizationId. Default: the tenant's name."),
  ),
  deviceIds: v.exactOptional(
    setting(list(text(128), 10_000), "The only devices that keys of the tenant may use, by id."),
  ),
  connectionNames: v.exactOptional(
    setting(list(text(128), 1_000), "The same by patterns of names; * stands for any run of characters."),
  ),
});

const AdminSchema: v.GenericSchema<unknown, AdminFile> = object({
  host: v.exactOptional(setting(text(), "Address of the administration listener. Default: 127.0.0.1.")),
  port: setting(number(0, 65_535), "Its port, 0 for any. The main listener then has no administration."),
  allowRemote: v.exactOptional(setting(v.boolean(), "Accept an address beyond loopback. Default: false.")),
  hostnames: v.exactOptional(
    setting(list(text(253), 100), "Names by which it may be called, beside addresses and localhost."),
  ),
});

/** {@link ConfigFile}, strict: a misspelt setting is an error, never ignored. */
export const ConfigFileSchema: v.GenericSchema<unknown, ConfigFile> = object({
  $schema: v.exactOptional(setting(v.string(), "For editors; not read.")),
  host: v.exactOptional(setting(text(), "Address to listen on. Default: 127.0.0.1.")),
  port: v.exactOptional(setting(number(0, 65_535), "Port to listen on, 0 for any. Default: 8787.")),
  publicUrl: v.exactOptional(setting(text(), "Where devices and callers reach the proxy.")),
  dataDir: v.exactOptional(setting(text(), "Where keys and rows are kept. Default: .data.")),
  log: v.exactOptional(setting(v.picklist(logFormats), "How the log is written. Default: pretty.")),
  upstream: v.exactOptional(
    object({
      url: v.exactOptional(setting(text(), "Server behind the proxy. Absent: the embedded environment server.")),
      allowInsecure: v.exactOptional(setting(v.boolean(), "Accept an http: upstream beyond loopback.")),
      timeoutMs: v.exactOptional(
        setting(number(1, 600_000), "Time a request may wait for the upstream. Default: 30000."),
      ),
      maxResponseBytes: v.exactOptional(
        setting(number(1, 268_435_456), "Largest answer of the upstream. Default: 8388608 (8 MiB)."),
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
  tenants: v.exactOptional(setting(record(text(128), TenantSchema), "What is said of tenants, by name.")),
  admin: v.exactOptional(AdminSchema),
  cors: v.exactOptional(
    object({
      origins: setting(list(text(512), 1_000), "Origins of web pages that may call, such as https://console.example."),
    }),
  ),
  cache: v.exactOptional(
    object({
      enabled: v.exactOptional(setting(v.boolean(), "Whether answers to reads are kept for a moment. Default: true.")),
      store: v.exactOptional(
        setting(
          v.picklist(["memory", "valkey"], "must be memory or valkey"),
          "Where they are kept. Default: memory. valkey (VALKEY_URL) shares them between gateways, for a round trip each.",
        ),
      ),
      maxBytes: v.exactOptional(
        setting(number(1_048_576, 17_179_869_184), "Memory that kept answers may take. Default: 67108864 (64 MiB)."),
      ),
      maxEntries: v.exactOptional(setting(number(1, 10_000_000), "Answers that are kept at most. Default: 100000.")),
      statusFor: v.exactOptional(
        setting(
          oneOf(cacheStatusAudiences),
          "Who sees Cache-Status: everybody, keys of scope details, or nobody. Default: everybody.",
        ),
      ),
    }),
  ),
  rateLimits: v.exactOptional(RateLimitsSchema),
  audit: v.exactOptional(
    object({
      content: v.exactOptional(setting(v.boolean(), "Keep what was sent in the audit log. Default: false.")),
    }),
  ),
});

/** The settings and bindings of a Worker, with the rules that only this runtime has. The common rules are in `config/`. */
import type { FlightObjectStub } from "../../adapters/cloudflare/flight-object.ts";
import type { KeyObjectStub } from "../../adapters/cloudflare/key-object.ts";
import type { RateLimitObjectStub, TenantObjectStub } from "../../adapters/cloudflare/tenant-object.ts";
import type { AuditLog } from "../../audit/log.ts";
import { isOperatorTokenText, tokenRule } from "../../config/resolve-auth.ts";
import { resolveGatewaySettings } from "../../config/resolve-gateway.ts";
import { GatewayFileSchema, parseConfigFile } from "../../config/file-schema.ts";
import { findRepeatedName } from "../../config/json-syntax.ts";
import type { GatewaySettings } from "../../config/settings.ts";
import { minPepperLength } from "../../keys/pepper.ts";
import { isJsonObject, parseJson } from "../../lib/json.ts";
import type { SettingProblem } from "../../lib/setting-rules.ts";
import { credentialsFromSettings, findSharedCredentials, tenantCredentials } from "../../tenants/credentials.ts";

/** The settings of a Worker. */
export interface WorkerSettings extends GatewaySettings {
  /** `KEY_PEPPER`. Never shown. */
  readonly keyPepper: string;
  /** `ADMIN_TOKEN`, with which the operator administers keys; `null`: only gateway keys with the scope `admin` can. Never shown. */
  readonly operatorToken: string | null;
}

/** The settings, or every rule that they break. */
export type ResolvedWorkerSettings =
  | { readonly ok: true; readonly settings: WorkerSettings }
  | { readonly ok: false; readonly problems: readonly SettingProblem[] };

/** The default time that a request waits for its rate-limit object, in milliseconds. The object may be on another continent. */
const deadlineMs = 1_000;

/** The largest `upstream.timeoutMs`. The platform cancels all work for a caller this long after the caller has left. */
const maxUpstreamTimeoutMs = 30_000;

/** Resolves the settings of a Worker from its variables and secrets. `PROXY_CONFIG` is the configuration file as JSON. */
export function resolveWorkerSettings(bindings: Readonly<Record<string, unknown>>): ResolvedWorkerSettings {
  const { file, rule } = readConfig(bindings["PROXY_CONFIG"]);
  if (rule !== undefined) return { ok: false, problems: [{ setting: "PROXY_CONFIG", rule }] };
  const misplaced = [...bindingProblems(bindings), ...fileProblems(file)];
  if (misplaced.length > 0) return { ok: false, problems: misplaced };
  const environment = Object.fromEntries(
    Object.entries(bindings).flatMap(([name, value]) => (typeof value === "string" ? [[name, value]] : [])),
  );
  const parsed = parseConfigFile(GatewayFileSchema, withDeadline(file));
  const keyPepper = environment["KEY_PEPPER"] ?? "";
  const operatorToken = environment["ADMIN_TOKEN"] || null;
  const problems = [...secretProblems(keyPepper, operatorToken)];
  if (!parsed.ok) return { ok: false, problems: [...parsed.problems, ...problems] };
  const resolved = resolveGatewaySettings(parsed.config, environment, false);
  problems.unshift(...resolved.problems);
  if (resolved.problems.length === 0) problems.push(...workerProblems(resolved.settings));
  return problems.length === 0
    ? { ok: true, settings: { ...resolved.settings, keyPepper, operatorToken } }
    : { ok: false, problems };
}

/** Finds bindings with a wrong type, which would fail only when a request uses them, and settings of a store that is not used. */
function* bindingProblems(bindings: Readonly<Record<string, unknown>>): Generator<SettingProblem> {
  for (const setting of ["UPSTREAM_URL", "KEY_PEPPER", "ADMIN_TOKEN", "LETTA_API_KEY"]) {
    if (typeof (bindings[setting] ?? "") !== "string") yield { setting, rule: "must be bound as text" };
  }
  for (const setting of ["KEYS", "LIMITS", "FLIGHTS", "AUDIT", "TENANTS"]) {
    if (!isJsonObject(bindings[setting])) yield { setting, rule: "must be bound to its Durable Object" };
  }
  if (!isJsonObject(bindings["ASSETS"])) yield { setting: "ASSETS", rule: "must be bound to the static assets" };
  if ((bindings["VALKEY_URL"] ?? "") === "") return;
  yield { setting: "VALKEY_URL", rule: "cannot be used on Workers: Durable Objects take its place" };
}

/** Finds settings of stores and listeners that a Worker does not have, which would be ignored silently. */
function* fileProblems(file: unknown): Generator<SettingProblem> {
  if (!isJsonObject(file)) return;
  for (const member of ["rateLimits", "cache"]) {
    const part = file[member];
    if (!isJsonObject(part) || part["store"] === undefined) continue;
    yield {
      setting: `${member}.store`,
      rule: "must be absent on Workers, which store in Durable Objects and the Cache API",
    };
  }
  if (file["admin"] === undefined) return;
  yield { setting: "admin", rule: "must be absent on Workers, which have one listener: set the secret ADMIN_TOKEN" };
}

function* secretProblems(keyPepper: string, operatorToken: string | null): Generator<SettingProblem> {
  if (keyPepper.length < minPepperLength) {
    yield { setting: "KEY_PEPPER", rule: `must be a secret of at least ${minPepperLength} characters` };
  }
  if (operatorToken !== null && !isOperatorTokenText(operatorToken)) {
    yield { setting: "ADMIN_TOKEN", rule: `must be ${tokenRule}` };
  }
}

function* workerProblems(settings: GatewaySettings): Generator<SettingProblem> {
  const { upstream, tenants, jwt } = settings;
  if (upstream.kind === "embedded") {
    yield { setting: "UPSTREAM_URL", rule: "must be set: there is no embedded environment server on Workers" };
  }
  if (settings.upstreamTimeoutMs > maxUpstreamTimeoutMs) {
    const reason = "Workers have this time to store the result of a send whose caller has left";
    yield { setting: "upstream.timeoutMs", rule: `must be at most ${maxUpstreamTimeoutMs}: ${reason}` };
  }
  for (const [tenant, { credential }] of tenants) {
    if (credential?.kind !== "file") continue;
    yield { setting: `tenants.${tenant}.upstream`, rule: "must use credentialEnv: Workers have no files" };
  }
  const credentials = tenantCredentials(
    tenants,
    jwt,
    new Set(),
    credentialsFromSettings(tenants, upstream.kind === "http" ? upstream.credential : null),
  );
  yield* findSharedCredentials(credentials);
}

/** Reads a variable that is JSON text, or an object if `wrangler.jsonc` has one. Returns the rule that a text breaks. */
function readConfig(value: unknown = ""): { readonly file?: unknown; readonly rule?: string } {
  if (typeof value !== "string") return { file: value };
  const text = value || "{}";
  const file = parseJson(text);
  if (file === undefined) return { rule: "must be JSON" };
  const error = findRepeatedName(text);
  if (error === null) return { file };
  return { rule: `is not valid JSON: line ${error.line}, column ${error.column}: ${error.reason}` };
}

/** Adds the default deadline. A value with a wrong type is returned unchanged, so that its own rule refuses it. */
function withDeadline(file: unknown): unknown {
  if (!isJsonObject(file)) return file;
  const { rateLimits = {} } = file;
  return isJsonObject(rateLimits) ? { ...file, rateLimits: { deadlineMs, ...rateLimits } } : file;
}

/** A namespace of Durable Objects: the part of `DurableObjectNamespace` of Cloudflare's types that is used. */
export interface ObjectNamespace<Stub> {
  /** Returns a new stub on each call. A stub may be unusable after a call to it has failed. */
  getByName(name: string): Stub;
}

/**
 * The bindings of `wrangler.jsonc` that are not text. Their names and the names of the classes must not change, because deployed
 * Durable Objects are found by them.
 */
export interface WorkerBindings {
  readonly KEYS: ObjectNamespace<KeyObjectStub>;
  readonly LIMITS: ObjectNamespace<RateLimitObjectStub>;
  /** The coordinators of concurrent cache misses. */
  readonly FLIGHTS: ObjectNamespace<FlightObjectStub>;
  readonly AUDIT: ObjectNamespace<Pick<AuditLog, "append">>;
  /** Sends, their audit log and rate limits, an object for each tenant. */
  readonly TENANTS: ObjectNamespace<TenantObjectStub>;
  /** The static assets, which contain the API description. */
  readonly ASSETS: { fetch(url: string): Promise<Response> };
}

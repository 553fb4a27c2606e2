/** The command `explain`: asks the gateway that `--url` names, or decides with the data directory. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandError, misuse } from "@letta-environments/command-line";
import { type EnvironmentStore, refuseInput } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { random, randomId, systemClock } from "@letta-environments/platform/node";
import { describeIssues, problemResponse, refused } from "@letta-environments/schema";
import { safeParse } from "valibot";
import { environmentsFile } from "../../../adapters/node/data-dir.ts";
import { openStore } from "../../../adapters/node/open-store.ts";
import { createMemoryIdempotencyStore } from "../../../adapters/memory/idempotency-store.ts";
import { createExtensions } from "../../../extensions.ts";
import { createMemoryRateLimitStore } from "../../../adapters/memory/rate-limit-store.ts";
import { formatExplanation } from "../../../commands/explain-text.ts";
import { refuseInvalidKey } from "../../../auth/authentication.ts";
import { createShadow, liftRestrictions, type ShadowedDevices } from "../../../auth/shadow.ts";
import { findJsonSyntaxError } from "../../../config/json-syntax.ts";
import type { Settings } from "../../../config/settings.ts";
import { callerOfClaims, callerOfKey, type ExplainedCaller } from "../../../explain/caller.ts";
import { createExplain, explainEndpoint, ExplainRequestSchema } from "../../../explain/endpoint.ts";
import type { Explanation, ExplainRequest } from "../../../explain/explanation.ts";
import { createExpiryCheck } from "../../../keys/credential-expiry.ts";
import { readText } from "../../../lib/json.ts";
import { createPipelineParts, type PipelineParts } from "../../../pipeline.ts";
import type { KeyStore } from "../../../ports.ts";
import { createRateLimiter } from "../../../rate-limit/limiter.ts";
import type { GatewayServices } from "../../../services.ts";
import { embedServer } from "../../../upstream/embedded.ts";
import { digests, type OpenKeys, openStoredKeys } from "../keys.ts";
import { connectToAdministration } from "./admin-client.ts";
import { type CommandContext, readNamedFile } from "./context.ts";
import { unknownKey } from "./local-keys.ts";

/** `explain KEY-ID METHOD PATH`, or `explain --token-claims FILE METHOD PATH`. */
export async function explainCommand(context: CommandContext): Promise<void> {
  const request = await readRequest(context);
  const explanation =
    context.option("url") === undefined
      ? await explainLocally(context.settings(), request)
      : await askGateway(context, request);
  context.show(explanation, formatExplanation);
}

async function readRequest(context: CommandContext): Promise<ExplainRequest> {
  const claims = context.option("token-claims");
  const [keyId, method = "", path, ...others] =
    claims === undefined ? context.parsed.operands : [undefined, ...context.parsed.operands];
  if (path === undefined) throw misuse("PATH is missing");
  if (others.length > 0) throw misuse("--token-claims replaces KEY-ID: pass only METHOD and PATH");
  const file = context.option("body");
  if (claims === "-" && file === "-") throw misuse("only one of --token-claims and --body can be -");
  const request = {
    ...(keyId !== undefined && { keyId }),
    ...(claims !== undefined && { claims: await readJson("--token-claims", claims) }),
    method: method.toUpperCase(),
    path,
    ...(file !== undefined && { body: await readJson("--body", file) }),
  };
  const parsed = safeParse(ExplainRequestSchema, request);
  if (parsed.success) return parsed.output;
  const [issue] = describeIssues(parsed.issues, "the request");
  const names: Readonly<Record<string, string>> = {
    keyId: "KEY-ID",
    claims: `--token-claims ${claims ?? ""}`,
    method: "METHOD",
    path: "PATH",
  };
  throw misuse(`${names[issue?.member ?? ""] ?? "the request"} ${issue?.rule ?? "is not valid"}`);
}

async function readJson(option: string, file: string): Promise<unknown> {
  const text = readText(await readNamedFile(option, file), String);
  if (text === undefined) throw new CommandError(`${option} ${file} is not UTF-8; save it in that encoding`);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const error = findJsonSyntaxError(text);
    const reason = error === null ? "" : `: line ${error.line}, column ${error.column}: ${error.reason}`;
    throw new CommandError(`${option} ${file} is not valid JSON${reason}`, 1, { cause });
  }
}

function askGateway(context: CommandContext, request: ExplainRequest): Promise<Explanation> {
  return connectToAdministration(context, explainEndpoint.path, "letta-proxy explain")("POST", "", request);
}

/** Decides with the stored keys and devices. Only the running gateway knows the state of limits and sockets. */
async function explainLocally(settings: Settings, request: ExplainRequest): Promise<Explanation> {
  const keys = await openStoredKeys(settings);
  try {
    const caller = await findCaller(settings, keys.keyStore, request);
    const { dataDir, upstream } = settings;
    const hasDevices = upstream.kind === "embedded" && existsSync(join(dataDir, environmentsFile));
    const devices = hasDevices ? await openStore(dataDir, environmentsFile, createSqliteEnvironmentStore) : null;
    try {
      const stored = devices === null ? noDevices : storedDevices(devices.store);
      return await createExplain(composeParts(settings, keys, stored), refuseInput, false)(caller, request);
    } finally {
      devices?.database.close();
    }
  } finally {
    keys.close();
  }
}

async function findCaller(
  { jwt }: Pick<Settings, "jwt">,
  keyStore: Pick<KeyStore, "find">,
  { keyId = "", claims }: ExplainRequest,
): Promise<ExplainedCaller> {
  if (claims !== undefined) return callerOfClaims(claims, jwt, { clock: systemClock, digests });
  const record = await keyStore.find(keyId);
  if (record === null) throw unknownKey();
  return callerOfKey(record, createExpiryCheck(systemClock));
}

function storedDevices({ findConnection, listDevices }: EnvironmentStore): ShadowedDevices {
  return { findConnection, devices: { list: listDevices } };
}

const noDevices: ShadowedDevices = {
  findConnection: () => Promise.resolve(null),
  devices: { list: () => Promise.resolve([]) },
};

/** Composes a pipeline that is used only for its decisions. */
function composeParts(settings: Settings, { keyStore, pepper }: OpenKeys, stored: ShadowedDevices): PipelineParts {
  const local = createMemoryRateLimitStore(systemClock);
  const notHere = (): Promise<ReturnType<typeof problemResponse>> => Promise.resolve(problemResponse("shutting_down"));
  const server = { ...stored, operate: notHere };
  const isEmbedded = settings.upstream.kind === "embedded";
  const { shadow } = settings;
  const services: GatewayServices = {
    clock: systemClock,
    digests,
    hasExpired: createExpiryCheck(systemClock),
    keyStore,
    pepper,
    random,
    randomId,
    telemetry: () => undefined,
    upstream: isEmbedded
      ? embedServer(server)
      : {
          kind: "remote",
          fetch: () => Promise.resolve({ reason: "unreachable", cause: null }),
          credentialOf: () => null,
          idempotencyStore: createMemoryIdempotencyStore(systemClock),
          maxConcurrent: 1,
        },
    audit: null,
    // Only its presence counts: the steps that read it do not run.
    environmentCache: settings.cache && { read: () => null, invalidate: () => Promise.resolve() },
    rateLimiter:
      settings.rateLimits.limits.length === 0
        ? null
        : createRateLimiter({ store: local, localStore: local, clock: systemClock, onDegraded: () => undefined }),
    deviceSockets: isEmbedded ? { upgrade: () => Promise.resolve(refused(problemResponse("shutting_down"))) } : null,
    // No token is presented: the claims replace it.
    tokenAuthenticatorFor: () => () => refuseInvalidKey("not_verified"),
    ...(shadow !== null && {
      wrapStep: createShadow(shadow, isEmbedded ? stored : undefined),
      liftRestrictions: (principal) => liftRestrictions(principal, shadow),
    }),
    apiExtensions: createExtensions(),
  };
  return createPipelineParts(services, { ...settings, userAgent: "" }, notHere);
}

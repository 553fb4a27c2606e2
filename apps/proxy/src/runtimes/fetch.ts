/**
 * The gateway as a function from the web's `Request` to its `Response`, for hosts that call one. Importing this module opens
 * nothing: the stores are opened with the first request. Keys are in Valkey; without it, callers authenticate with tokens or with
 * their own upstream keys. Nothing is written to a disk, so there is no audit log, and keys are not administered here.
 */
import { randomBytes } from "node:crypto";
import process from "node:process";
import { CommandError } from "@letta-environments/command-line";
import { randomId, systemClock } from "@letta-environments/platform/node";
import type { Hono } from "hono";
import { createConsoleTelemetry, type LogEvent } from "../adapters/log.ts";
import { createMemoryIdempotencyStore } from "../adapters/memory/idempotency-store.ts";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import { isShortPepper, loadPepper } from "../adapters/node/pepper.ts";
import { loadOpenApi } from "../adapters/open-api.ts";
import { resolveSettings } from "../config/resolve.ts";
import type { Settings } from "../config/settings.ts";
import { createGateway, toWebResponse } from "../host/gateway.ts";
import { createHostRoutes } from "../host/routes.ts";
import { webGatewayRequest } from "../host/web/request.ts";
import { failureResponse, finishResponse } from "../http/response.ts";
import { createHasExpired } from "../keys/credential-expiry.ts";
import { KeyStoreUnavailableError, reportOutages, rootCauseMessage } from "../keys/key-store-outages.ts";
import { minPepperLength } from "../keys/key-lifecycle.ts";
import { createKeyUses } from "../keys/key-uses.ts";
import type { Pipeline } from "../pipeline.ts";
import type { KeyStore } from "../ports.ts";
import { composePipeline, composeTokenAuthenticator } from "./node/compose.ts";
import { openKeyStore } from "./node/keys.ts";
import { composeKeyReadiness } from "./node/readiness.ts";
import { openValkeySends } from "./node/sends.ts";
import { openEnvironmentCache, openRateLimits } from "./node/shared-stores.ts";

/** The facts that the host knows about a request. */
export interface FetchContext {
  /** The client's address from a source that clients cannot forge, so not from a header that they can set. */
  readonly clientAddress?: string | null | undefined;
}

/** Responds to a request. It never rejects. */
export type FetchHandler = (request: Request, context?: FetchContext) => Promise<Response>;

/** The sources of a fetch handler's settings. */
export interface FetchSettingSources {
  /** Environment variables, such as `process.env`. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The content of `proxy.config.json` as a value. Default: an empty configuration. */
  readonly config?: unknown;
}

/**
 * Creates a fetch handler from environment variables (`UPSTREAM_URL`, `LETTA_API_KEY`, `VALKEY_URL`, `KEY_PEPPER`) and a
 * configuration. The stores are opened with the first request, and again after a failure.
 *
 * @throws TypeError that names every setting that breaks a rule
 */
export function createFetchHandler(sources: FetchSettingSources): FetchHandler {
  const settings = resolveFetchSettings(sources);
  const log = createConsoleTelemetry("json", (line) => void process.stdout.write(line), systemClock.now);
  let opening: ReturnType<typeof openApp> | null = null;

  return async (request, context) => {
    const liveness = await respondToLiveness(request);
    if (liveness !== null) return liveness;
    const opened = (opening ??= openApp(settings, log));
    // Some hosts pass a context of their own, so anything but text is not an address.
    const clientAddress = typeof context?.clientAddress === "string" ? context.clientAddress : null;
    try {
      return await (await opened).fetch(request, { clientAddress });
    } catch (cause) {
      // Open again only if the stores could not be opened, and not if a later request already does so.
      await opened.catch(() => {
        if (opening === opened) opening = null;
      });
      const requestId = randomId("req");
      return toWebResponse(finishResponse(failureResponse(requestId, cause, log), requestId, request.method));
    }
  };
}

/** Resolves the settings. Values are not repeated in errors. */
function resolveFetchSettings({ environment = {}, config }: FetchSettingSources): Settings {
  const resolved = resolveSettings({ flags: {}, environment, file: config });
  if (!resolved.ok) {
    throw new TypeError(resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`).join("\n"));
  }
  const { settings } = resolved;
  const problems = [
    settings.upstream.kind === "embedded" &&
      "UPSTREAM_URL is required: the embedded environment server needs a process that stays",
    settings.valkeyUrl !== null && settings.keyPepper === null && "KEY_PEPPER is required where keys are in Valkey",
    settings.keyPepper !== null &&
      isShortPepper(settings.keyPepper) &&
      `KEY_PEPPER must have at least ${minPepperLength} characters`,
    settings.rateLimits.store === "sqlite" && "rateLimits.store must be memory or valkey: there is no disk",
    settings.admin !== null && "admin.port needs a port of its own; keys are made with 'letta-proxy keys create'",
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw new TypeError(problems.join("\n"));
  return settings;
}

/** Opens the stores and composes the gateway over them. Rejects if a store cannot be opened. */
async function openApp(settings: Settings, log: (event: LogEvent) => void): Promise<Hono<{ Bindings: FetchContext }>> {
  const { pipeline, keyStore } = await openPipeline(settings, log);
  return createGateway<FetchContext>(pipeline, {
    routes: createHostRoutes({
      randomId,
      isDraining: () => false,
      readReadiness: composeKeyReadiness(settings, keyStore, log),
      openApi: loadOpenApi,
    }),
    clientAddressOf: ({ env }) => env.clientAddress ?? null,
  });
}

async function openPipeline(
  settings: Settings,
  log: (event: LogEvent) => void,
): Promise<{ readonly pipeline: Pipeline; readonly keyStore: KeyStore }> {
  const onFailure = (cause: unknown): void =>
    log({ type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause) });
  const keyStore = reportOutages(await openKeys(settings, log, onFailure), log);
  const hasExpired = createHasExpired(systemClock);
  const pipeline = await composePipeline(settings, {
    keys: { pepper: loadPepper("", settings.keyPepper ?? randomBytes(32).toString("hex"), false) },
    keyStore,
    keyStoreFor: null,
    hasExpired,
    devicesFor: null,
    keyUses: createKeyUses({ clock: systemClock, keyStore, onFailure }),
    audit: null,
    rateLimits: await openRateLimits(settings, log),
    environmentCache: await openEnvironmentCache(settings, log),
    // Without Valkey, each process remembers its own sends while it runs.
    idempotencyStore:
      settings.valkeyUrl === null
        ? createMemoryIdempotencyStore(systemClock)
        : (await openValkeySends(settings.valkeyUrl)).store,
    forgetsSends: settings.valkeyUrl === null,
    background: () => undefined,
    tokenAuthenticatorFor: composeTokenAuthenticator(log, hasExpired),
    embedded: null,
    deviceSockets: null,
    eventStreams: null,
    metrics: null,
    log,
  });
  return { pipeline, keyStore };
}

async function openKeys(
  settings: Settings,
  log: (event: LogEvent) => void,
  onFailure: (cause: unknown) => void,
): Promise<KeyStore> {
  if (settings.valkeyUrl === null) return createMemoryKeyStore();
  const onDamaged = (keyId: string): void => log({ type: "key_record_damaged", keyId });
  try {
    return (await openKeyStore(settings, { onFailure, onDamaged })).keyStore;
  } catch (cause) {
    // The response to this cause is 503 with Retry-After. The text of a CommandError is for operators who start a process.
    throw cause instanceof CommandError && cause.cause instanceof KeyStoreUnavailableError ? cause.cause : cause;
  }
}

const liveness = createHostRoutes({ randomId });

/** Responds to `/livez`, which waits for no store; `null` for every other path. */
async function respondToLiveness(request: Request): Promise<Response | null> {
  const gatewayRequest = webGatewayRequest(request, null);
  const route = liveness.find(({ path }) => path === gatewayRequest.path);
  return route === undefined ? null : toWebResponse(await route.respond(gatewayRequest));
}

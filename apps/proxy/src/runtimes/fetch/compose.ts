import { randomBytes } from "node:crypto";
import { randomId, systemClock } from "@letta-environments/platform/node";
import type { Hono } from "hono";
import type { LogEvent } from "../../adapters/log.ts";
import { createMemoryKeyStore } from "../../adapters/memory/key-store.ts";
import { loadPepper } from "../../adapters/node/pepper.ts";
import { loadOpenApi } from "../../adapters/open-api.ts";
import type { Pipeline } from "../../pipeline.ts";
import { resolveSettings } from "../../config/resolve.ts";
import type { Settings } from "../../config/settings.ts";
import { createGateway, toWebResponse } from "../../host/gateway.ts";
import { createHostRoutes } from "../../host/routes.ts";
import { webGatewayRequest } from "../../host/web/request.ts";
import { createKeyUses } from "../../keys/key-uses.ts";
import { rootCauseMessage } from "../../keys/key-store-outages.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import { reportOutages } from "../../keys/key-store-outages.ts";
import type { KeyStore } from "../../ports.ts";
import { CommandError } from "@letta-environments/command-line";
import { composePipeline } from "../node/compose.ts";
import { openTokenAuthenticator } from "../node/open-credentials.ts";
import { openEnvironmentCache } from "../node/open-environment-cache.ts";
import { openKeyStore } from "../node/open-keys.ts";
import { openRateLimits } from "../node/open-rate-limits.ts";

/** What the host knows beside the request. */
export interface FetchContext {
  /** Address of the caller, from whoever is sure of it; never from a header that callers can set. */
  readonly clientAddress?: string | null | undefined;
}

/** Opens the stores that the settings name and routes requests to the gateway over them. Rejects when one cannot be opened. */
export async function openFetchApp(
  settings: Settings,
  log: (event: LogEvent) => void,
): Promise<Hono<{ Bindings: FetchContext }>> {
  const routes = createHostRoutes({ randomId, isDraining: () => false, openApi: loadOpenApi });
  return createGateway<FetchContext>(await openFetchPipeline(settings, log), {
    routes,
    clientAddressOf: ({ env }) => env.clientAddress ?? null,
  });
}

/**
 * Opens the stores of a fetch handler and composes the pipeline over them. Keys are in Valkey or nowhere: without it callers come with tokens or
 * with keys of their own. Nothing is written to a disk, so there is no audit log, and keys are not administered here.
 */
export async function openFetchPipeline(settings: Settings, log: (event: LogEvent) => void): Promise<Pipeline> {
  const onFailure = (cause: unknown): void =>
    log({ type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause) });
  const keyStore = reportOutages(await openKeys(settings, log, onFailure), log);
  const pepper = loadPepper("", settings.keyPepper ?? randomBytes(32).toString("hex"), false);
  return composePipeline(settings, {
    keys: { pepper },
    keyStore,
    keyStoreFor: null,
    keyUses: createKeyUses({ clock: systemClock, keyStore, onFailure }),
    audit: null,
    rateLimits: await openRateLimits(settings, log),
    environmentCache: await openEnvironmentCache(settings, log),
    tokenAuthenticatorFor: openTokenAuthenticator(log),
    embedded: null,
    deviceSockets: null,
    log,
  });
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
    // Callers are told that they may come again; the words are for whoever starts a process.
    throw cause instanceof CommandError && cause.cause instanceof KeyStoreUnavailableError ? cause.cause : cause;
  }
}

const liveness = createHostRoutes({ randomId });

/** The response of `/livez`, which waits for no store; `null` for every other path. `/readyz` reports whether requests can be served. */
export async function answerLiveness(request: Request): Promise<Response | null> {
  const gatewayRequest = webGatewayRequest(request, null);
  const route = liveness.find(({ path }) => path === gatewayRequest.path);
  return route === undefined ? null : toWebResponse(await route.respond(gatewayRequest));
}

/** Where the settings of a fetch handler come from. */
export interface FetchSettingSources {
  /** Such as `process.env`; absent: nothing is set. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What would stand in `proxy.config.json`; absent: nothing. */
  readonly config?: unknown;
}

/**
 * The settings of a fetch handler: those of any gateway, without what needs a machine of its own.
 *
 * @throws TypeError that names every setting that breaks a rule. It repeats no value.
 */
export function resolveFetchSettings({ environment = {}, config }: FetchSettingSources): Settings {
  const resolved = resolveSettings({ flags: {}, environment, file: config });
  if (!resolved.ok) {
    throw new TypeError(resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`).join("\n"));
  }
  const { settings } = resolved;
  const problems = [
    settings.upstream.kind === "embedded" &&
      "UPSTREAM_URL is required: the embedded environment server needs a process that stays",
    settings.valkeyUrl !== null && settings.keyPepper === null && "KEY_PEPPER is required where keys are in Valkey",
    settings.rateLimits.store === "sqlite" && "rateLimits.store must be memory or valkey: there is no disk",
    settings.admin !== null && "admin.port needs a port of its own; keys are made with 'letta-proxy keys create'",
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw new TypeError(problems.join("\n"));
  return settings;
}

/**
 * Opens the stores of a gateway that has no disk and no lasting process, and composes its pipeline over them: with the first request, and again some
 * time after a failure.
 */
import { randomBytes } from "node:crypto";
import { createMemoryBudget } from "@letta-environments/environment-server";
import { CommandError } from "@letta-environments/command-line";
import type { Clock } from "@letta-environments/platform";
import { systemClock } from "@letta-environments/platform/node";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { LogEvent } from "../../adapters/log-event.ts";
import { logKeyStore } from "../../adapters/log.ts";
import { createExtensions } from "../../extensions.ts";
import { createMemoryIdempotencyStore } from "../../adapters/memory/idempotency-store.ts";
import { createMemoryKeyStore } from "../../adapters/memory/key-store.ts";
import { isShortPepper, loadPepper } from "../../adapters/node/pepper.ts";
import { keyStoreUnavailable } from "../../auth/authentication.ts";
import { resolveSettings } from "../../config/resolve.ts";
import type { Settings } from "../../config/settings.ts";
import { createBodyBudget } from "../../http/body-memory.ts";
import type { ReadReadiness } from "../../host/readiness.ts";
import { createExpiryCheck } from "../../keys/credential-expiry.ts";
import { KeyStoreUnavailableError, reportOutages } from "../../keys/key-store-outages.ts";
import { minPepperLength } from "../../keys/pepper.ts";
import { createKeyUses } from "../../keys/key-uses.ts";
import { rootCauseMessage } from "../../lib/redact.ts";
import { isJsonObject } from "../../lib/json.ts";
import { type Defer, openInOrder } from "../../lib/open-in-order.ts";
import type { Pipeline } from "../../pipeline.ts";
import { composePipeline, composeTokenAuthenticator } from "../node/compose.ts";
import { type KeyStoreListener, openKeyStore, type OpenKeyStore } from "../node/keys.ts";
import { composeKeyReadiness } from "../node/readiness.ts";
import { openEnvironmentCache, openRateLimits, openValkeySends } from "../node/shared-stores.ts";

/** The sources of the settings of a gateway without its own process. */
export interface SettingSources {
  /** Environment variables, such as `process.env`. Default: none. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** The content of `proxy.config.json` as a value. Default: an empty configuration. */
  readonly config?: unknown;
}

/** Members of the configuration that need a long-running process, which counts, and pushes or serves the counts. */
const observation = ["metrics", "otlp"] as const;

/**
 * Resolves the settings. Values are not repeated in errors.
 *
 * @throws TypeError that names every setting that breaks a rule
 */
export function resolveFetchSettings({ environment = {}, config }: SettingSources): Settings {
  const resolved = resolveSettings({
    flags: {},
    environment: withoutOpenTelemetry(environment),
    file: config,
    // The listener that the token is for is refused below.
    withoutAdminToken: true,
  });
  if (!resolved.ok) {
    throw new TypeError(resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`).join("\n"));
  }
  const { settings } = resolved;
  const misplaced = observation.filter((member) => isJsonObject(config) && config[member] !== undefined);
  const problems = [
    ...misplaced.map((member) => `${member} must be absent: nothing is counted or pushed without a lasting process`),
    settings.upstream.kind === "embedded" &&
      "UPSTREAM_URL is required: the embedded environment server is in @letta-environments/proxy/server",
    settings.valkeyUrl === null &&
      settings.jwt === null &&
      !settings.passThrough &&
      "VALKEY_URL and KEY_PEPPER, auth.jwt or auth.passThrough is required: without one of them nobody can authenticate",
    settings.valkeyUrl !== null && settings.keyPepper === null && "KEY_PEPPER is required where keys are in Valkey",
    settings.keyPepper !== null &&
      isShortPepper(settings.keyPepper) &&
      `KEY_PEPPER must have at least ${minPepperLength} characters`,
    settings.rateLimits.store === "sqlite" && "rateLimits.store must be memory or valkey: there is no disk",
    settings.admin !== null && "admin.port needs a separate listener; keys are made with 'letta-proxy keys create'",
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw new TypeError(problems.join("\n"));
  return settings;
}

/** Drops the variables of OpenTelemetry. Hosts set them for their own libraries, so they must break no rule of the gateway. */
function withoutOpenTelemetry(
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string | undefined>> {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith("OTEL_")));
}

/** A gateway whose stores are open. */
export interface OpenGateway {
  readonly pipeline: Pipeline;
  readonly readReadiness: ReadReadiness;
}

/** Opens the stores and composes the pipeline over them. If that fails, it closes the open ones and rejects. */
export function openPipeline(settings: Settings, log: (event: LogEvent) => void): Promise<OpenGateway> {
  return openInOrder((defer) => openStores(settings, log, defer));
}

async function openStores(settings: Settings, log: (event: LogEvent) => void, defer: Defer): Promise<OpenGateway> {
  const listener = logKeyStore(log);
  const keys = defer(await openKeys(settings, listener), (open) => open.close());
  const keyStore = reportOutages(keys.keyStore, log, systemClock);
  const pepper = loadPepper("", settings.keyPepper ?? randomBytes(32).toString("hex"), false);
  const hasExpired = createExpiryCheck(systemClock);
  const pipeline = await composePipeline(settings, {
    keys: { pepper },
    keyStore,
    keyStoreFor: null,
    hasExpired,
    devicesFor: null,
    keyUses: createKeyUses({ clock: systemClock, keyStore, onFailure: listener.onFailure }),
    audit: null,
    auditTail: null,
    rateLimits: defer(await openRateLimits(settings, log), (open) => open.close()),
    bodyMemory: createBodyBudget(createMemoryBudget),
    environmentCache: defer(await openEnvironmentCache(settings, log), (open) => open.close()),
    // Without Valkey, each process remembers its own sends while it runs.
    idempotencyStore:
      settings.valkeyUrl === null
        ? createMemoryIdempotencyStore(systemClock)
        : defer(await openValkeySends(settings.valkeyUrl), (open) => open.close()).store,
    isStoreVolatile: settings.valkeyUrl === null,
    background: () => undefined,
    tokenAuthenticatorFor: composeTokenAuthenticator(log, hasExpired),
    embedded: null,
    deviceSockets: null,
    extensions: createExtensions(),
    metrics: null,
    log,
  });
  const readReadiness = composeKeyReadiness(settings, { keyStore, pepper }, log);
  // Few serverless functions have a probe, so this logs a pepper that fits no key from the start. No request waits for this, and it never rejects.
  void readReadiness();
  return { pipeline, readReadiness };
}

async function openKeys(
  settings: Settings,
  listener: KeyStoreListener,
): Promise<Pick<OpenKeyStore, "keyStore" | "close">> {
  if (settings.valkeyUrl === null) return { keyStore: createMemoryKeyStore(), close: () => undefined };
  try {
    return await openKeyStore(settings, listener);
  } catch (cause) {
    // The response to this cause is 503 with Retry-After. The text of a CommandError is for operators who start a process.
    throw cause instanceof CommandError && cause.cause instanceof KeyStoreUnavailableError ? cause.cause : cause;
  }
}

/** The pause after a failure to open the stores, in milliseconds. Callers without a key must not open a connection with each request. */
const pauseMs = 1_000;

/** The open gateway, or the response while it cannot be opened. */
type OpenResult<Gateway> =
  | { readonly kind: "open"; readonly gateway: Gateway }
  | { readonly kind: "failed"; readonly response: PlainResponse };

/**
 * Returns a function that opens the gateway with the first call, and tries again with the first call a second after a failure. It never
 * rejects. Each failure is logged once, with its cause.
 */
export function openWhenCalled<Gateway>(
  open: () => Promise<Gateway>,
  { clock, log }: { readonly clock: Pick<Clock, "monotonic">; readonly log: (event: LogEvent) => void },
): () => Promise<OpenResult<Gateway>> {
  let latest: Promise<OpenResult<Gateway>> | null = null;
  let failedAt: number | null = null;
  let hasFailed = false;

  async function attempt(): Promise<OpenResult<Gateway>> {
    try {
      const gateway = await open();
      if (hasFailed) log({ type: "readiness_recovered", check: storesCheck });
      return { kind: "open", gateway };
    } catch (cause) {
      failedAt = clock.monotonic();
      hasFailed = true;
      const isKeyOutage = cause instanceof KeyStoreUnavailableError;
      log(
        isKeyOutage
          ? { type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause), cause }
          : { type: "readiness_failed", check: storesCheck, cause },
      );
      return { kind: "failed", response: isKeyOutage ? keyStoreUnavailable : cannotStart };
    }
  }

  return () => {
    if (failedAt !== null && clock.monotonic() - failedAt >= pauseMs) {
      failedAt = null;
      latest = null;
    }
    return (latest ??= attempt());
  };
}

/** The name of the check of `/readyz` that fails while the stores cannot be opened. */
export const storesCheck = "stores";

const cannotStart = problemResponse("storage_unavailable", {
  detail: "The gateway cannot start with its settings; its log says why. The request was not executed.",
  retryAfterSeconds: pauseMs / 1_000,
});

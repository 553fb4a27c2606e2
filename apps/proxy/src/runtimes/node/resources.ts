/**
 * Opens everything that a process has only once: the data directory, the keys, the audit log, the shared stores and the embedded
 * environment server. A reload composes a new pipeline over the same resources.
 */
import {
  createEnvironmentServer,
  createMemoryBudget,
  type DeviceReference,
  type EnvironmentServer,
  type EnvironmentServerEvent,
} from "@letta-environments/environment-server";
import { createRowCount, createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import type { SqliteDatabase } from "@letta-environments/platform";
import { randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log-event.ts";
import { logKeyStore } from "../../adapters/log.ts";
import { environmentsFile } from "../../adapters/node/data-dir.ts";
import { openStore } from "../../adapters/node/open-store.ts";
import { createOpenCalls } from "../../adapters/open-calls.ts";
import { type DataDirLock, lockDataDir, type RunningGateway } from "../../adapters/node/data-dir-lock.ts";
import { entryOf } from "../../audit/entry.ts";
import { auditDevices } from "../../audit/device-changes.ts";
import { auditKeyStore } from "../../audit/key-changes.ts";
import { createPastEvents, type PastEvents } from "../../audit/past-events.ts";
import { boundRefusals } from "../../audit/refusals.ts";
import { createBodyBudget } from "../../http/body-memory.ts";
import { createPermissionRules } from "../../auth/tenant-guard.ts";
import type { EnvironmentCache } from "../../cache/environment-cache.ts";
import type { Settings } from "../../config/settings.ts";
import { createExtensions } from "../../extensions.ts";
import { createExpiryCheck } from "../../keys/credential-expiry.ts";
import type { IdempotencyStore } from "../../idempotency/store.ts";
import { createUnreleased } from "../../idempotency/unreleased.ts";
import type { ReadReadiness } from "../../host/readiness.ts";
import { reportOutages } from "../../keys/key-store-outages.ts";
import { createKeyUses } from "../../keys/key-uses.ts";
import { type BackgroundWork, createBackgroundWork } from "../../lib/background.ts";
import { closeInOrder, type Defer, openInOrder } from "../../lib/open-in-order.ts";
import { type SocketRules, watchSocketKeys } from "../../keys/socket-key-watch.ts";
import type { KeyStoreFor } from "../../ports.ts";
import { keepAuditRetention, openAudit } from "./audit.ts";
import { composeReadiness } from "./readiness.ts";
import { composeTokenAuthenticator, type GatewayResources } from "./compose.ts";
import { openKeys, type OpenKeys } from "./keys.ts";
import type { EmbeddedCounts, PipelineMetrics } from "./metrics.ts";
import { openEnvironmentCache, openRateLimits, openValkeySends } from "./shared-stores.ts";

/** The open resources of a process. */
export interface Resources extends GatewayResources {
  readonly keys: OpenKeys;
  readonly keyStoreFor: KeyStoreFor;
  /** Resolves when all requests without a caller have ended, or after `graceMs` milliseconds. */
  finishBackground(graceMs: number): Promise<void>;
  /** Publishes the URL of the gateway to commands, if it has locked the data directory. */
  announce(gateway: RunningGateway): void;
  /** Checks the disk and the stores, for `/readyz`. */
  readonly readReadiness: ReadReadiness;
  /** Counts devices, viewers and approvals; `null` if the upstream is remote. */
  readonly embeddedCounts: (() => EmbeddedCounts) | null;
  /** Closes all device sockets. Call it when no request is in flight. */
  closeDevices(): Promise<void>;
  /** Closes everything else, and logs the end of the audit log. */
  close(): Promise<void>;
}

/** A start has locked the directory. Changes tables of an older version. */
const migrating = { migrates: true };

/**
 * Opens the resources that the settings name. If one cannot be opened, the earlier ones are closed.
 *
 * @param settings Returns the current settings, also after a reload.
 * @throws CommandError if a resource cannot be opened
 */
export function openResources(
  settings: () => Settings,
  log: (event: LogEvent) => void,
  metrics: PipelineMetrics | null,
): Promise<Resources> {
  return openInOrder((defer) => openAll(settings, log, metrics, defer));
}

async function openAll(
  settings: () => Settings,
  log: (event: LogEvent) => void,
  metrics: PipelineMetrics | null,
  defer: Defer,
): Promise<Resources> {
  const initial = settings();
  const isEmbedded = initial.upstream.kind === "embedded";
  const onFailure = (cause: unknown): void => log({ type: "internal_error", requestId: "-", cause });
  const onAuditFailure = (cause: unknown): void => log({ type: "audit_failed", requestId: "-", cause });
  const keyListener = logKeyStore(log);
  const lock = defer(isEmbedded ? await lockDataDir(initial.dataDir) : null, (open) => open?.release());
  const keys = defer(await openKeys(initial, keyListener, migrating), (open) => open.close());
  const valkeySends = defer(
    isEmbedded || initial.valkeyUrl === null ? null : await openValkeySends(initial.valkeyUrl),
    (open) => open?.close(),
  );
  const opened = defer(await openAudit(initial, keys.pepper, migrating), (open) => open.close().catch(onAuditFailure));
  const audit = boundRefusals(opened, { clock: systemClock, onFailure: onAuditFailure });
  const past = createPastEvents(audit, { clock: systemClock, onFailure: onAuditFailure });
  const rateLimits = defer(await openRateLimits(initial, log), (open) => open.close());
  const keyStore = reportOutages(keys.keyStore, log, systemClock);
  const environmentCache = defer(await openEnvironmentCache(initial, log), (open) => open.close());
  const embedded = defer(
    isEmbedded ? await openEmbeddedServer(initial, environmentCache.cacheFor(initial), reportTo(past, log)) : null,
    (open) => open?.close(),
  );
  const endRetention = defer(keepAuditRetention(audit, settings, log), (end) => end());
  const background = createBackgroundWork(systemClock);
  const keyUses = createKeyUses({ clock: systemClock, keyStore, onFailure: keyListener.onFailure });
  const hasExpired = createExpiryCheck(systemClock);
  const readiness = composeReadiness(initial, { keyStore: keys.keyStore, embedded: embedded?.server ?? null }, log);
  return {
    keys,
    keyStore,
    hasExpired,
    keyStoreFor: (actor) => auditKeyStore(keyStore, audit, actor, onAuditFailure),
    devicesFor: embedded && ((actor) => auditDevices(embedded.server.devices, audit, actor, onAuditFailure)),
    keyUses,
    audit,
    auditTail: audit.tail,
    rateLimits,
    environmentCache,
    currentCheck: {},
    bodyMemory: createBodyBudget(createMemoryBudget),
    ...shareSends(isEmbedded ? null : (valkeySends?.store ?? audit.createSendStore()), background.start),
    isStoreVolatile: false,
    background: background.start,
    finishBackground: background.finish,
    announce: announceBy(lock, onFailure),
    tokenAuthenticatorFor: composeTokenAuthenticator(log, hasExpired),
    embedded: embedded?.server ?? null,
    deviceSockets:
      embedded &&
      watchSocketKeys(embedded.server, {
        clock: systemClock,
        hasExpired,
        keyStore,
        tenants: () => settings().tenants,
        ...createPermissionRules(settings),
        tokenSettings: () => settings().jwt,
        onShadowed: logShadowed(log),
        onFailure: keyListener.onFailure,
      }),
    extensions: createExtensions(embedded && { clock: systemClock, server: embedded.server, telemetry: log }),
    readReadiness: readiness.read,
    log,
    metrics,
    embeddedCounts: embedded?.counts ?? null,
    closeDevices: async () => embedded?.close(),
    async close() {
      endRetention();
      await closeInOrder([keyUses.flush, past.end, audit.endRefusals, audit.close]).catch(onAuditFailure);
      const { writer, sequence, hash } = audit.checkpoint();
      log({ type: "audit_end", writer, sequence, hash });
      const opened = [valkeySends, rateLimits, environmentCache, keys, readiness];
      await closeInOrder([...opened.map((open) => () => open?.close()), () => lock?.release()]);
    },
  };
}

/** Publishes the URL of the gateway to commands. If that fails, they print the address from their own settings. */
function announceBy(lock: DataDirLock | null, onFailure: (cause: unknown) => void): Resources["announce"] {
  return (gateway) => {
    try {
      lock?.announce(gateway);
    } catch (cause) {
      onFailure(cause);
    }
  };
}

/** The store of sends, the undelivered ones that it could not release, and the open ones. All outlive a reload. */
function shareSends(
  store: IdempotencyStore | null,
  background: BackgroundWork["start"],
): Pick<GatewayResources, "idempotencyStore" | "unreleased" | "openCalls"> {
  if (store === null) return { idempotencyStore: null };
  const unreleased = createUnreleased({ store, clock: systemClock, background });
  return { idempotencyStore: store, unreleased, openCalls: createOpenCalls() };
}

/** Logs the events of the embedded server. What it did for a caller is in the audit log too. */
function reportTo(
  past: Pick<PastEvents, "add">,
  log: (event: LogEvent) => void,
): (event: EnvironmentServerEvent) => void {
  return (event) => {
    log(event);
    const entry = entryOf(event);
    if (entry !== null) past.add(entry);
  };
}

/** Warns of a device that stays connected only because its key is in shadow mode. */
function logShadowed(log: (event: LogEvent) => void): NonNullable<SocketRules["onShadowed"]> {
  return ({ tenant, keyId, deviceId, connectionName }) =>
    log({ type: "socket_shadowed", tenant, keyId, deviceId, connectionName, errorCode: "device_not_allowed" });
}

/** How long registrations and statuses of devices wait for a commit, in milliseconds. Sends do not wait. */
const relaxedCommitMs = 10;

/** Starts the embedded environment server, whose environments are in the data directory. */
async function openEmbeddedServer(
  settings: Pick<Settings, "dataDir" | "publicUrl">,
  environmentCache: EnvironmentCache | null,
  report: (event: EnvironmentServerEvent) => void,
): Promise<{ readonly server: EnvironmentServer; readonly counts: () => EmbeddedCounts; close(): Promise<void> }> {
  const create = (opened: SqliteDatabase) =>
    createSqliteEnvironmentStore(opened, {
      defer: setImmediate,
      deferRelaxed: (run) => setTimeout(run, relaxedCommitMs),
    });
  const { store, database } = await openStore(settings.dataDir, environmentsFile, create, migrating);
  // A busy SQLite would block the event loop, so it gives up immediately and the server waits instead.
  database.exec("PRAGMA busy_timeout = 0");
  const invalidate = createInvalidation(environmentCache);
  const server = createEnvironmentServer({
    store,
    clock: systemClock,
    sha256: sha256Hex,
    randomId,
    podId: randomId("pod"),
    publicUrl: settings.publicUrl,
    onEvent(event) {
      report(event);
      if (changesResponses.has(event.type) && "deviceId" in event) {
        void environmentCache?.invalidate(event.tenant, { deviceId: event.deviceId });
      }
    },
    onStatusChange: invalidate,
  });
  const countRows = createRowCount(database);
  let devices = 0;
  return {
    server,
    counts() {
      try {
        devices = countRows();
      } catch {
        // Another program has locked the file, so the last number is the best one.
      }
      return {
        connectedDevices: server.connectedDevices().length,
        viewers: server.connectedViewers().length,
        devices,
        pendingApprovals: server.pendingApprovals(),
      };
    },
    async close() {
      await closeInOrder([server.close, database.close]);
    },
  };
}

/**
 * Returns a function that invalidates the responses which show a device, before the process reads the next request. A device may report several
 * changes in one turn of the event loop, and a remote store costs a round trip, so the changes of a turn share one invalidation.
 */
function createInvalidation(cache: EnvironmentCache | null): (device: DeviceReference) => void {
  const changed = new Map<string, DeviceReference>();
  return (device) => {
    if (cache === null) return;
    if (changed.size === 0) {
      setImmediate(() => {
        for (const { tenant, deviceId } of changed.values()) void cache.invalidate(tenant, { deviceId });
        changed.clear();
      });
    }
    changed.set(device.environmentId, device);
  };
}

/** Events of the embedded server that change the responses which show the device, besides its status. A heartbeat is not one of them. */
const changesResponses: ReadonlySet<string> = new Set([
  "device_registered",
  "device_connected",
  "device_disconnected",
  "device_removed",
  "environment_removed",
  "device_labelled",
  "environment_expired",
  "approval_requested",
  "approval_decided",
  "approval_withdrawn",
  "agents_api_missing",
]);

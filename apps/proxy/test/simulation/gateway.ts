/**
 * One gateway process of a simulation: the whole pipeline over stores on disk, composed as `src/runtimes/node` composes it, with a
 * simulated clock and with stores that can fail. Killing it leaves nothing but the files.
 */
import { join } from "node:path";
import { createEnvironmentServer, type EnvironmentStore } from "@letta-environments/environment-server";
import type { DeviceAllowlist } from "@letta-environments/schema";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { createMemoryCacheStore } from "@letta-environments/http-cache";
import {
  type Clock,
  createGroupCommit,
  formatUlid,
  type RandomId,
  type SqliteDatabase,
  ulidRandomBytes,
} from "@letta-environments/platform";
import { openSqlite, sha256Hex } from "@letta-environments/platform/node";
import {
  createSimulatedProcess,
  type Random,
  type SimulatedProcess,
  type StoreFaultRates,
  type StoreFaults,
} from "@letta-environments/testkit";
import { createMemoryRateLimitStore } from "../../src/adapters/memory/rate-limit-store.ts";
import { createSqliteAuditStore } from "../../src/adapters/sqlite/audit-store.ts";
import { createSqliteIdempotencyStore } from "../../src/adapters/sqlite/idempotency-store.ts";
import { createSqliteKeyStore } from "../../src/adapters/sqlite/key-store.ts";
import { createSqliteRateLimitStore } from "../../src/adapters/sqlite/rate-limit-store.ts";
import { openAuditLog, type OpenAuditLog } from "../../src/audit/log.ts";
import type { AuditChains } from "../../src/audit/store.ts";
import { type AuditReport, verifyAudit } from "../../src/audit/verify.ts";
import { createEnvironmentCache } from "../../src/cache/environment-cache.ts";
import type { RateLimitsFile } from "../../src/config/file.ts";
import { resolveGatewaySettings } from "../../src/config/resolve-gateway.ts";
import { type IdempotencyStore, IdempotencyUnavailableError } from "../../src/idempotency/store.ts";
import { createExpiryCheck } from "../../src/keys/credential-expiry.ts";
import { KeyStoreUnavailableError } from "../../src/keys/key-store-outages.ts";
import { createKeyUses } from "../../src/keys/key-uses.ts";
import { watchSocketKeys } from "../../src/keys/socket-key-watch.ts";
import { createExtensions } from "../../src/extensions.ts";
import { createPipeline, type Pipeline } from "../../src/pipeline.ts";
import type { KeyStore, UpstreamFetch } from "../../src/ports.ts";
import { createRateLimiter } from "../../src/rate-limit/limiter.ts";
import type { RateLimitStore } from "../../src/rate-limit/store.ts";
import type { GatewayServices } from "../../src/services.ts";
import { testDigests, testPepper } from "../support/test-proxy.ts";
import { embedServer } from "../../src/upstream/embedded.ts";

/** The options of a gateway process. */
export interface GatewayOptions {
  readonly dataDir: string;
  readonly clock: Clock;
  readonly random: Random;
  /** The remote upstream and the credential of each tenant; `null` embeds the environment server. */
  readonly upstream: { readonly fetch: UpstreamFetch; readonly credentialOf: (tenant: string) => string } | null;
  readonly rateLimits: RateLimitsFile;
  /** Where rate limits are counted. */
  readonly limitStore: "memory" | "sqlite";
  /** Fault rates of every store. */
  readonly rates: () => StoreFaultRates;
  /** Receives each failure of a store that the simulation injects. */
  readonly onStoreFailure: StoreFaults["onFailure"];
  /** Receives each `internal_error` and each failure that no request reports. */
  readonly onFailure: (what: string, cause: unknown) => void;
  /** Receives the id of each frame for which the ids of messages are reserved. */
  readonly onReserve: (frameId: string, messageIds: readonly string[]) => void;
  /** Called when rate limits are decided without their store. */
  readonly onLimitsDegraded: () => void;
  /** Receives the ids of messages and tool calls when their `send_started` is durable. */
  readonly onSendStarted: (messageIds: readonly string[]) => void;
  /** Replaces parts, for tests that plant a bug. */
  readonly plant?: PlantedBugs;
}

/** Replacements of parts of the gateway. */
export interface PlantedBugs {
  readonly environmentStore?: (store: EnvironmentStore) => EnvironmentStore;
  readonly rateLimitStore?: (store: RateLimitStore) => RateLimitStore;
  readonly auditChains?: (chains: AuditChains) => AuditChains;
  readonly idempotencyStore?: (store: IdempotencyStore) => IdempotencyStore;
  readonly upstreamFetch?: (fetch: UpstreamFetch) => UpstreamFetch;
  readonly pipeline?: (pipeline: Pipeline) => Pipeline;
}

/** A running gateway process. */
export interface SimulatedGateway {
  readonly pipeline: Pipeline;
  readonly process: SimulatedProcess;
  /** Verifies the whole audit log. */
  verifyAudit(): Promise<AuditReport>;
  /** Stops it in order. */
  stop(): Promise<void>;
  kill(): void;
}

/** Rate limits in the time of the rate-limit store, in milliseconds. */
const limitDeadlineMs = 100;

interface Parts extends GatewayOptions {
  readonly process: SimulatedProcess;
  readonly open: (name: string) => SqliteDatabase;
  readonly randomId: RandomId;
  readonly hasExpired: GatewayServices["hasExpired"];
}

/** Starts a process over the files of the data directory. */
export async function startGateway(options: GatewayOptions): Promise<SimulatedGateway> {
  const { clock, random, dataDir, onFailure } = options;
  const process = createSimulatedProcess(clock, random);
  const databases: SqliteDatabase[] = [];
  const open = (name: string): SqliteDatabase => {
    const database = openSqlite(join(dataDir, name));
    databases.push(database);
    return database;
  };
  const randomId: RandomId = (prefix) => `${prefix}-${formatUlid(clock.now(), random.bytes(ulidRandomBytes))}`;
  const parts: Parts = { ...options, process, open, randomId, hasExpired: createExpiryCheck(process.clock) };
  const keyStore = openKeys(parts);
  const audit = await openAudit(parts);
  const { services, close } = compose(parts, keyStore, audit);
  const { settings } = resolveGatewaySettings({ rateLimits: options.rateLimits }, {}, false);
  const pipeline = createPipeline(services, { ...settings, userAgent: "simulation" });
  const kill = (): void => {
    if (!process.isAlive) return;
    process.kill();
    for (const database of databases) database.close();
  };
  return {
    pipeline: options.plant?.pipeline?.(pipeline) ?? pipeline,
    process,
    verifyAudit: () => audit.verify(),
    async stop() {
      await close();
      await audit.log.close().catch((cause: unknown) => onFailure("close the audit log", cause));
      kill();
    },
    kill,
  };
}

function openKeys({ process, open, rates, onStoreFailure }: Parts): KeyStore {
  const store = createSqliteKeyStore(open("proxy.sqlite"), process.clock);
  const error = (method: string): Error =>
    new KeyStoreUnavailableError({ cause: new Error(`simulated failure of ${method}`) });
  return process.withFaults(store, { synchronous: ["generation"], rates, error, onFailure: onStoreFailure });
}

interface OpenFile {
  readonly log: OpenAuditLog;
  /** Creates the store of sends in the file. */
  createSendStore(): IdempotencyStore;
  verify(): Promise<AuditReport>;
}

/** The members of `send_started` that name messages and decisions. */
interface StartedSend {
  readonly messageIds?: readonly string[];
  readonly decisions?: readonly { readonly toolCallId: string }[];
}

function idsOf({ messageIds = [], decisions = [] }: StartedSend): readonly string[] {
  return [...messageIds, ...decisions.map(({ toolCallId }) => toolCallId)];
}

/** The file with the audit log and the sends. Its transactions fail before or after their commit. */
async function openAudit(parts: Parts): Promise<OpenFile> {
  const { process, open, random, randomId, onStoreFailure, onSendStarted, plant } = parts;
  const { clock } = process;
  const database = open("audit.sqlite");
  const plain = createSqliteAuditStore(database);
  const sealing = { digests: testDigests, pepper: testPepper };
  const writer = randomId("writer");
  const readNew = database.prepare("SELECT sequence, text FROM audit_records WHERE writer = ? AND sequence > ?");
  let reported = 0;
  let isOpen = false;
  const file = process.withFaults(
    {
      async transact<Result>(run: () => Result): Promise<Result> {
        const result = run();
        for (const { sequence, text } of readNew.all(writer, reported)) {
          reported = Number(sequence);
          const entry = JSON.parse(String(text)) as StartedSend & { readonly type: string };
          if (entry.type === "send_started") onSendStarted(idsOf(entry));
        }
        return result;
      },
    },
    {
      rates: () => (isOpen ? parts.rates() : noFaults),
      error: (method) => new Error(`simulated failure of ${method}`),
      onFailure: onStoreFailure,
    },
  );
  const transactions = createGroupCommit(database, {
    guard: (run) => file.transact(run),
    // The clock is stopped while a process starts.
    defer: (run) => void (isOpen ? clock.setTimer(random.below(2), run) : queueMicrotask(run)),
  });
  const store = plant?.auditChains?.(plain) ?? plain;
  const log = await openAuditLog({ ...sealing, store, transactions, clock, writer, version: "0.0.0" });
  isOpen = true;
  return {
    log,
    createSendStore: () => createSqliteIdempotencyStore(database, transactions, clock),
    verify: () => plain.snapshot((snapshot) => verifyAudit(snapshot, sealing)),
  };
}

/** Rates of a store without faults. */
export const noFaults: StoreFaultRates = { reject: 0, slow: 0, slowMs: 0 };

function compose(
  parts: Parts,
  keyStore: KeyStore,
  file: OpenFile,
): { readonly services: GatewayServices; close(): Promise<void> } {
  const { process, random, randomId, upstream, plant, onFailure } = parts;
  const { clock } = process;
  const environmentCache = createEnvironmentCache({
    store: createMemoryCacheStore({ maxBytes: 1_000_000, maxEntries: 1_000, clock }),
    clock,
    sha256: sha256Hex,
    onError: (operation, cause) => onFailure(`cache ${operation}`, cause),
  })({ upstream: upstream === null ? "embedded" : "remote", showsStatus: () => true });
  const keyUses = createKeyUses({ clock, keyStore, onFailure: () => undefined });
  const embedded = upstream === null ? openEmbedded(parts, keyStore, environmentCache.invalidate) : null;
  const extensions = createExtensions(embedded && { clock, server: embedded.server, telemetry: () => undefined });
  const services: GatewayServices = {
    clock,
    digests: testDigests,
    hasExpired: parts.hasExpired,
    keyStore,
    noteKeyUse: keyUses.note,
    pepper: testPepper,
    random: random.fraction,
    randomId,
    telemetry(event) {
      if (event.type === "internal_error") onFailure("internal error", event.cause);
    },
    upstream:
      upstream === null || embedded !== null
        ? embedServer(embedded?.server ?? missing())
        : {
            kind: "remote",
            fetch: plant?.upstreamFetch?.(upstream.fetch) ?? upstream.fetch,
            credentialOf: upstream.credentialOf,
            idempotencyStore: openSends(parts, file),
            maxConcurrent: 256,
          },
    audit: file.log,
    environmentCache,
    rateLimiter: createLimiter(parts),
    deviceSockets: embedded?.sockets ?? null,
    apiExtensions: extensions,
  };
  return {
    services,
    async close() {
      extensions.end();
      await embedded?.server.close();
      await keyUses.flush();
    },
  };
}

/** The store of sends, in the file of the audit log. Its writes fail with the transactions of the file. */
function openSends({ process, rates, onStoreFailure, plant }: Parts, file: OpenFile): IdempotencyStore {
  const plain = file.createSendStore();
  const store = plant?.idempotencyStore?.(plain) ?? plain;
  const { find, findConnection } = process.withFaults(store, {
    rates,
    error: (method) => new IdempotencyUnavailableError(new Error(`simulated failure of ${method}`)),
    onFailure: onStoreFailure,
  });
  /** A transaction that failed does not say whose send it was. It is undone or tried again, unless the process is killed first. */
  const named = (method: string, reservation: object) => (cause: unknown) => {
    onStoreFailure(method, [reservation], false);
    throw cause;
  };
  return {
    ...store,
    find,
    findConnection,
    reserve: (reservation, recordStart) => store.reserve(reservation, recordStart).catch(named("reserve", reservation)),
    settle: (reservation, result) => store.settle(reservation, result).catch(named("settle", reservation)),
  };
}

function missing(): never {
  throw new TypeError("the embedded server was not opened");
}

function createLimiter(parts: Parts): GatewayServices["rateLimiter"] {
  const { process, rates, onStoreFailure, onLimitsDegraded, plant } = parts;
  const { clock } = process;
  const plain =
    parts.limitStore === "sqlite"
      ? createSqliteRateLimitStore(parts.open("limits.sqlite"), clock)
      : createMemoryRateLimitStore(clock);
  const store = plant?.rateLimitStore?.(plain) ?? plain;
  return createRateLimiter({
    store: process.withFaults(store, {
      rates,
      error: (method) => new Error(`simulated failure of ${method}`),
      onFailure: onStoreFailure,
    }),
    localStore: createMemoryRateLimitStore(clock),
    clock,
    deadlineMs: limitDeadlineMs,
    onDegraded: onLimitsDegraded,
  });
}

function openEmbedded(
  { process, open, rates, random, onStoreFailure, onReserve, randomId, hasExpired, plant, onFailure }: Parts,
  keyStore: KeyStore,
  invalidate: (tenant: string, target: { readonly deviceId: string }) => Promise<void>,
) {
  const plain = createSqliteEnvironmentStore(open("environments.sqlite"), {
    defer: (run) => void process.clock.setTimer(random.below(2), run),
    deferRelaxed: (run) => void process.clock.setTimer(random.below(10), run),
  });
  const observed: EnvironmentStore = {
    ...plain,
    reserve(delivery, nowMs) {
      onReserve(delivery.id, delivery.messageIds);
      return plain.reserve(delivery, nowMs);
    },
  };
  const store = process.withFaults(plant?.environmentStore?.(observed) ?? observed, {
    rates,
    // The port promises it.
    withoutEffect: ["appendChanges"],
    error: (method) => new Error(`simulated failure of ${method}`),
    onFailure: onStoreFailure,
  });
  const server = createEnvironmentServer({
    store,
    clock: process.clock,
    sha256: sha256Hex,
    randomId,
    podId: randomId("pod"),
    publicUrl: null,
    onEvent(event) {
      if ("deviceId" in event) void invalidate(event.tenant, { deviceId: event.deviceId });
    },
  });
  const sockets = watchSocketKeys(server, {
    clock: process.clock,
    hasExpired,
    keyStore,
    tenants: () => noTenants,
    tokenSettings: () => null,
    onFailure: (cause) => {
      if (!(cause instanceof KeyStoreUnavailableError)) onFailure("watch the keys of sockets", cause);
    },
  });
  return { server, sockets };
}

const noTenants: ReadonlyMap<string, DeviceAllowlist> = new Map();

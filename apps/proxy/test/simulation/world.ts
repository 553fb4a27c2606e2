/**
 * A whole system in one process, on one seeded clock and random source: a gateway over files, its embedded environment server or a
 * remote upstream, devices, callers and the networks between them.
 */
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import type { Scope } from "@letta-environments/schema";
import {
  createRandom,
  createTrace,
  createVirtualClock,
  type Random,
  replaceGlobals,
  type Trace,
  type VirtualClock,
} from "@letta-environments/testkit";
import { createSqliteKeyStore } from "../../src/adapters/sqlite/key-store.ts";
import { createKey, type KeyRequest } from "../../src/keys/key-lifecycle.ts";
import { testDigests, testPepper } from "../support/test-proxy.ts";
import { type Callers, createCallers, type ObservedResponse, type SimulatedKey } from "./callers.ts";
import { type Conversations, createConversations } from "./conversations/conversations.ts";
import { createDeviceProgram } from "./conversations/program.ts";
import { createDeviceRecord } from "./conversations/record.ts";
import { createEmbeddedDevice, type EmbeddedDevice } from "./embedded-devices.ts";
import { createFaultPlan, type FaultKind, type FaultPlan } from "./fault-plan.ts";
import { createDataDirectory } from "./files.ts";
import { type GatewayOptions, type PlantedBugs, type SimulatedGateway, startGateway } from "./gateway.ts";
import { createNetwork, type Network } from "./network.ts";
import { createRateLimitWatch, simulatedRateLimits } from "./rate-limit-watch.ts";
import { createRemoteUpstream, type RemoteDevice, type RemoteUpstream } from "./remote-upstream.ts";
import { checkTenant, tenants } from "./tenants.ts";
import { createTruth, type Message, type Remembered, type Truth } from "./truth.ts";

/**
 * A gateway with its embedded server, the same with devices that run turns and with those who watch and decide
 * (`conversations`), or a gateway in front of a remote upstream.
 */
export type WorldKind = "embedded" | "conversations" | "remote";

/** Every {@link WorldKind}. */
export const worldKinds: readonly WorldKind[] = ["conversations", "embedded", "remote"];

/** The options of a world. The same options give the same world. */
export interface WorldOptions {
  readonly seed: number;
  /** Default: the seed decides. */
  readonly kind?: WorldKind;
  /** Faults that do not happen. */
  readonly without?: ReadonlySet<FaultKind>;
  readonly plant?: PlantedBugs;
}

/** See the description of this file. */
export interface World {
  readonly random: Random;
  readonly clock: VirtualClock;
  readonly trace: Trace;
  readonly truth: Truth;
  readonly faults: FaultPlan;
  readonly callers: Callers;
  readonly network: Network;
  /** Keys of callers, with different rights. */
  readonly keys: readonly SimulatedKey[];
  readonly devices: readonly (EmbeddedDevice | RemoteDevice)[];
  /** The devices of the embedded server; empty in front of a remote upstream. */
  readonly embedded: readonly EmbeddedDevice[];
  /** `null` with the embedded server. */
  readonly upstream: RemoteUpstream | null;
  /** Those who watch and decide; `null` where devices run no turns. */
  readonly conversations: Conversations | null;
  /** The running gateway; `null` while none runs. */
  readonly gateway: SimulatedGateway | null;
  /** When the present gateway started, in monotonic milliseconds. */
  readonly startedAtMs: number;
  /** Time by which the present gateway forgets ids, in milliseconds. */
  retentionNow(): number;
  start(): Promise<void>;
  /** Kills the gateway: whatever is in memory is gone. */
  crash(): void;
  /** Removes the files and gives back the platform's time. */
  dispose(): void;
}

const deviceIds = ["d1", "d2"];

interface State {
  gateway: SimulatedGateway | null;
  retentionOffsetMs: number;
  startedAtMs: number;
}

/** Creates a world whose gateway is not started. */
export async function createWorld(options: WorldOptions): Promise<World> {
  const random = createRandom(options.seed);
  const clock = createVirtualClock();
  const trace = createTrace(clock);
  const directory = createDataDirectory();
  const restore = replaceGlobals(clock, random);
  const state: State = { gateway: null, retentionOffsetMs: 0, startedAtMs: 0 };
  const retentionNow = (): number => state.retentionOffsetMs + clock.monotonic();
  const truth = createTruth(trace, retentionNow);
  const faults = createFaultPlan(options.without ?? new Set());
  const pipeline = () => state.gateway?.pipeline ?? null;
  const network = createNetwork({ clock, random, faults: faults.network, pipeline });
  const { keys, connectKeys } = await createKeys(directory.path, clock, random);
  const startedIds = new Set<string>();
  const onDelivery = (message: Message, departed?: Remembered): void =>
    noteDelivery(truth, startedIds, message, departed);
  const kind = options.kind ?? random.pick(worldKinds);
  const limitStore = random.pick(["memory", "sqlite"] as const);
  trace.record(`seed ${options.seed}, ${kind}, limits in ${limitStore}`);
  const shared = { clock, random, trace, truth };
  const record = createDeviceRecord(clock, truth);
  const upstream = kind === "remote" ? createRemote({ ...shared, onDelivery, faultRate: faults.upstreamRate }) : null;
  const embedded =
    kind === "remote"
      ? []
      : allDevices().map(({ tenant, deviceId }) => {
          const key = connectKeys.get(tenant) ?? "";
          const common = { ...shared, tenant, deviceId, onDelivery };
          const rejects = (): boolean => random.happens(faults.devices().reject);
          return createEmbeddedDevice({
            ...common,
            key,
            faults: faults.devices,
            pipeline,
            ...(kind === "conversations" && {
              createProgram: (send) => createDeviceProgram({ ...common, record, rejects, send }),
            }),
          });
        });
  const watch = createRateLimitWatch();
  const callers = createCallers({
    ...shared,
    network,
    onResponse: (observed) => checkResponse(truth, watch, observed),
  });
  const conversations =
    kind === "conversations"
      ? createConversations({ ...shared, record, network, pipeline, keys, startedAtMs: () => state.startedAtMs })
      : null;
  const gatewayOptions: GatewayOptions = {
    dataDir: directory.path,
    clock,
    random,
    upstream,
    rateLimits: simulatedRateLimits,
    limitStore,
    rates: faults.stores,
    onStoreFailure(method, values, acted) {
      trace.record(`the store fails ${acted ? "after" : "before"} ${method}`);
      truth.noteFault();
      // Statuses and decisions that could not be stored are written again.
      if (method !== "saveMessages" && method !== "saveApprovals")
        truth.excuseNamed(values, `the store failed at ${method}`);
    },
    onReserve: truth.nameFrame,
    onLimitsDegraded: watch.degrade,
    onFailure: (what, cause) => truth.noteFailure(what, cause),
    onSendStarted(ids) {
      for (const id of ids) startedIds.add(id);
    },
    ...(options.plant !== undefined && { plant: options.plant }),
  };
  return {
    ...shared,
    faults,
    callers,
    network,
    keys,
    devices: upstream?.devices ?? embedded,
    embedded,
    upstream,
    conversations,
    get gateway() {
      return state.gateway;
    },
    get startedAtMs() {
      return state.startedAtMs;
    },
    retentionNow,
    async start() {
      if (state.gateway !== null) return;
      // The embedded server counts the time that it has run.
      if (kind === "remote") state.retentionOffsetMs = clock.now() - clock.monotonic();
      state.startedAtMs = clock.monotonic();
      truth.noteStart();
      state.gateway = await startGateway(gatewayOptions);
      trace.record("the gateway has started");
    },
    crash() {
      trace.record("the gateway is killed");
      state.gateway?.kill();
      state.gateway = null;
      watch.forget();
      truth.excuseInterrupted();
      network.reset();
      for (const device of embedded) device.drop();
      conversations?.drop();
    },
    dispose() {
      state.gateway?.kill();
      restore();
      directory.remove();
    },
  };
}

function allDevices(): readonly { readonly tenant: string; readonly deviceId: string }[] {
  return tenants.flatMap((tenant) => deviceIds.map((deviceId) => ({ tenant, deviceId })));
}

function createRemote(options: Omit<Parameters<typeof createRemoteUpstream>[0], "devices">): RemoteUpstream {
  const devices = allDevices().map(({ tenant, deviceId }): RemoteDevice => {
    return { tenant, deviceId, connectionIds: [`conn-${tenant}-${deviceId}-1`], isOnline: true };
  });
  return createRemoteUpstream({ ...options, devices });
}

/** A device received a message. It must be its own, and the audit log must know of it before. */
function noteDelivery(truth: Truth, startedIds: ReadonlySet<string>, message: Message, departed?: Remembered): void {
  const { tenant, deviceId, id, text } = message;
  if (!text.startsWith(`<${tenant}/${deviceId}>`)) truth.violate(`${tenant}/${deviceId} received "${text}"`);
  if (!startedIds.has(id)) truth.violate(`${id} was delivered before its send_started was durable`);
  truth.deliver(message, departed);
}

function checkResponse(
  truth: Truth,
  watch: ReturnType<typeof createRateLimitWatch>,
  { key, isSend, beganAtMs, response, code }: ObservedResponse,
): void {
  checkTenant(truth, key, response);
  const exceeded = watch.note(key.name, isSend, beganAtMs, response, code);
  if (exceeded !== null) truth.violate(exceeded);
}

/** Creates the keys in the file from which every gateway reads them. */
async function createKeys(
  dataDir: string,
  clock: VirtualClock,
  random: Random,
): Promise<{ readonly keys: readonly SimulatedKey[]; readonly connectKeys: ReadonlyMap<string, string> }> {
  const database = openSqlite(join(dataDir, "proxy.sqlite"));
  const store = createSqliteKeyStore(database, clock);
  const mint = { digests: testDigests, pepper: testPepper, randomBytes: random.bytes };
  const create = async (tenant: string, name: string, scopes: readonly Scope[], rest: Partial<KeyRequest> = {}) => {
    const { key, record } = createKey({ name, tenant, scopes, ...rest }, clock.now(), mint);
    await store.create(record);
    return key;
  };
  const callerScopes: readonly Scope[] = ["list", "read", "send", "view", "approve", "control"];
  const keys: SimulatedKey[] = [];
  const connectKeys = new Map<string, string>();
  for (const tenant of tenants) {
    const add = async (
      name: string,
      reaches: SimulatedKey["reaches"],
      scopes: readonly Scope[],
      rest?: Partial<KeyRequest>,
    ): Promise<void> => {
      const maySend = scopes.includes("send") ? reaches : () => false;
      keys.push({ name: `${tenant}/${name}`, tenant, key: await create(tenant, name, scopes, rest), maySend, reaches });
    };
    await add("full", () => true, callerScopes);
    await add("one device", (deviceId) => deviceId === "d1", callerScopes, { deviceIds: ["d1"] });
    await add("one agent", (_deviceId, agentId) => agentId === "agent-1", callerScopes, { agentIds: ["agent-1"] });
    await add("reader", () => true, ["list", "read"]);
    connectKeys.set(tenant, await create(tenant, "devices", ["connect"]));
  }
  const wrong = keys[0]?.key.replace(/.{6}$/, "000000") ?? "";
  keys.push({ name: "oslo/wrong", tenant: "oslo", key: wrong, maySend: () => false, reaches: () => false });
  database.close();
  return { keys, connectKeys };
}

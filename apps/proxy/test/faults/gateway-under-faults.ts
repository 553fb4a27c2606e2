/** A built gateway with a fault proxy on the hop of its callers, and, in front of a remote upstream, another one on that hop. */
import { readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import {
  acknowledgeAsStarted,
  connectScriptedDevice,
  createFaultProxy,
  type Fault,
  type FaultProxy,
  type Frame,
  openDeviceSocket,
  type ProxiedRequest,
  type ScriptedDevice,
  type ScriptedDeviceOptions,
} from "@letta-environments/testkit";
import type { LaunchedGateway, RuntimeLauncher } from "../runtimes/launcher.ts";
import { type CountingUpstream, createCountingUpstream, remoteRow } from "./counting-upstream.ts";

/** A hop on which faults happen. */
export type Hop = "caller" | "upstream";

/** Which server is behind the gateway. */
export type UpstreamKind = "remote" | "embedded";

/** Every {@link UpstreamKind}. */
export const upstreamKinds: readonly UpstreamKind[] = ["embedded", "remote"];

/** See the description of this file. */
export interface GatewayUnderFaults {
  readonly kind: UpstreamKind;
  readonly key: string;
  readonly deviceId: string;
  /** The connection to which messages are sent. */
  readonly connectionId: string;
  readonly callerProxy: FaultProxy;
  /** `null` with the embedded server. */
  readonly upstreamProxy: FaultProxy | null;
  readonly upstream: CountingUpstream | null;
  /** How often each message was received, by its id. */
  readonly deliveries: ReadonlyMap<string, number>;
  /** Chooses the fault of each request on a hop. */
  chooseFault: (hop: Hop, request: ProxiedRequest) => Fault | null;
  /** Breaks the socket of the device, which opens it again; does nothing in front of a remote upstream. */
  dropDevice(): Promise<void>;
  /** Open files and sockets of the gateway; `null` where they cannot be counted. */
  countHandles(): number | null;
  /** Reads from the gateway, without the fault proxy. */
  read(target: string): Promise<unknown>;
  stop(): Promise<void>;
}

/** Timeout of upstream calls in these tests, in milliseconds. */
export const upstreamTimeoutMs = 1_000;

/** Starts a gateway that is ready to send. */
export async function startGatewayUnderFaults(
  launcher: RuntimeLauncher,
  kind: UpstreamKind,
): Promise<GatewayUnderFaults> {
  const choose = (hop: Hop) => (request: ProxiedRequest) => underFaults.chooseFault(hop, request);
  const upstream = kind === "remote" ? await createCountingUpstream() : null;
  const upstreamProxy = upstream === null ? null : await createFaultProxy(upstream.port, choose("upstream"));
  const gateway = await launcher.launch({
    config: {
      upstream: { timeoutMs: kind === "remote" ? upstreamTimeoutMs : 5_000 },
      cache: { enabled: false },
      rateLimits: { policies },
    },
    environment: upstreamProxy === null ? {} : { UPSTREAM_URL: upstreamProxy.url, LETTA_API_KEY: "sk-upstream" },
  });
  const callerProxy = await createFaultProxy(Number(new URL(gateway.url).port), choose("caller"));
  const { key } = await gateway.createKey({ scopes: ["list", "read", "send"] });
  const device = kind === "embedded" ? await connectDevice(gateway) : null;
  const underFaults: GatewayUnderFaults = {
    kind,
    key,
    deviceId: "box",
    connectionId: device?.connectionId ?? String(remoteRow.connectionId),
    callerProxy,
    upstreamProxy,
    upstream,
    deliveries: upstream?.deliveries ?? device?.deliveries ?? new Map(),
    chooseFault: () => null,
    dropDevice: async () => device?.drop(),
    countHandles: () => (gateway.pid === undefined ? null : countHandles(gateway.pid)),
    async read(target) {
      const response = await fetch(`${gateway.url}${target}`, { headers: { authorization: `Bearer ${key}` } });
      return response.json();
    },
    async stop() {
      await callerProxy.close();
      await device?.stop();
      await gateway.stop();
      await upstreamProxy?.close();
      await upstream?.close();
    },
  };
  return underFaults;
}

/** Limits that these tests do not reach. The leases of running sends show whether one is left behind. */
const policies = {
  "running-sends": {
    per: ["key"],
    unit: "concurrent-requests",
    limit: 1_000,
    windowMs: 60_000,
    routes: ["sendMessage"],
  },
};

/** A device behind its own proxy, which opens its socket again whenever it breaks. */
interface ConnectedDevice {
  readonly connectionId: string;
  readonly deliveries: ReadonlyMap<string, number>;
  /** Breaks the socket, and resolves when it is open again. */
  drop(): Promise<void>;
  stop(): Promise<void>;
}

async function connectDevice(gateway: LaunchedGateway): Promise<ConnectedDevice> {
  const deliveries = new Map<string, number>();
  const proxy = await createFaultProxy(Number(new URL(gateway.url).port));
  const { key: apiKey } = await gateway.createKey({ scopes: ["connect"] });
  const options: ScriptedDeviceOptions = {
    baseUrl: proxy.url,
    apiKey,
    deviceId: "box",
    acknowledge(input) {
      for (const id of messageIds(input)) deliveries.set(id, (deliveries.get(id) ?? 0) + 1);
      return acknowledgeAsStarted(input);
    },
  };
  let isStopped = false;
  let device = await connectScriptedDevice(options);
  const { connectionId, wsUrl } = device;
  const reopen = (): Promise<ScriptedDevice> =>
    // It may break before it is open.
    openDeviceSocket(connectionId, wsUrl, options).catch(reopen);
  const connecting = (async () => {
    for (;;) {
      await device.closed;
      if (isStopped) return;
      device = await reopen();
    }
  })();
  return {
    connectionId,
    deliveries,
    async drop() {
      const before = device;
      await proxy.closeConnections();
      while (device === before && !isStopped) await delay(5);
    },
    async stop() {
      isStopped = true;
      await device.close();
      await connecting;
      await proxy.close();
    },
  };
}

function messageIds(input: Frame): readonly string[] {
  const { messages = [] } = (input["payload"] ?? {}) as {
    readonly messages?: readonly { readonly client_message_id: string }[];
  };
  return messages.map(({ client_message_id: id }) => id);
}

/** Counts the open file descriptors of a process. Linux only; `null` elsewhere. */
function countHandles(pid: number): number | null {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return null;
  }
}

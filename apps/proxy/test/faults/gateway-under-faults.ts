/** A built gateway with a fault proxy on the hop of its callers, and, in front of a remote upstream, another one on that hop. */
import { readdirSync } from "node:fs";
import {
  acknowledgeAsStarted,
  connectScriptedDevice,
  createFaultProxy,
  type Fault,
  type FaultProxy,
  type Frame,
  type ProxiedRequest,
  type ScriptedDevice,
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
    connectionId: device?.scripted.connectionId ?? String(remoteRow.connectionId),
    callerProxy,
    upstreamProxy,
    upstream,
    deliveries: upstream?.deliveries ?? device?.deliveries ?? new Map(),
    chooseFault: () => null,
    countHandles: () => (gateway.pid === undefined ? null : countHandles(gateway.pid)),
    async read(target) {
      const response = await fetch(`${gateway.url}${target}`, { headers: { authorization: `Bearer ${key}` } });
      return response.json();
    },
    async stop() {
      await callerProxy.close();
      await device?.scripted.close();
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

async function connectDevice(gateway: LaunchedGateway): Promise<{
  readonly scripted: ScriptedDevice;
  readonly deliveries: ReadonlyMap<string, number>;
}> {
  const deliveries = new Map<string, number>();
  const { key: apiKey } = await gateway.createKey({ scopes: ["connect"] });
  const scripted = await connectScriptedDevice({
    baseUrl: gateway.url,
    apiKey,
    deviceId: "box",
    acknowledge(input) {
      for (const id of messageIds(input)) deliveries.set(id, (deliveries.get(id) ?? 0) + 1);
      return acknowledgeAsStarted(input);
    },
  });
  return { scripted, deliveries };
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

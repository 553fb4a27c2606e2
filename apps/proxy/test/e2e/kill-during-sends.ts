/**
 * Sends of the official SDK to a gateway that is killed with SIGKILL at random points and started again over the same data
 * directory. What devices received is counted outside of it.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import Letta, { APIError } from "@letta-ai/letta-client";
import {
  acknowledgeAsStarted,
  connectScriptedDevice,
  createRandom,
  type Frame,
  type LaunchedProxy,
  launchProxy,
  openDeviceSocket,
  type ScriptedDevice,
} from "@letta-environments/testkit";
import { createCountingUpstream, remoteRow } from "../faults/counting-upstream.ts";
import { type Counts, noCounts } from "../simulation/truth.ts";

/** The parameters of a run. */
export interface KillOptions {
  readonly kind: "embedded" | "remote";
  readonly sends: number;
  /** The process is killed about once for this many sends. */
  readonly sendsPerKill: number;
  readonly seed: number;
}

/** The result of {@link sendThroughKills}. */
export interface KillResult {
  readonly counts: Readonly<Counts>;
  readonly kills: number;
  /** Responses that contradict what was delivered. */
  readonly contradictions: readonly string[];
}

/**
 * Timeout of upstream calls, in milliseconds. After a kill, a repeat of a send that was in flight waits as long, and its outcome is
 * unknown ten seconds later.
 */
const timeoutMs = 2_000;

/** Sends that are in flight at the same time. */
export const concurrency = 10;

/** Sends messages while the gateway is killed, then sends each again, and counts their outcomes. */
export async function sendThroughKills(options: KillOptions): Promise<KillResult> {
  const { kind, sends, sendsPerKill, seed } = options;
  const random = createRandom(seed);
  const target = await (kind === "remote" ? startRemote() : startEmbedded());
  const counts: Counts = { ...noCounts };
  const contradictions: string[] = [];
  const outcomes = new Map<string, Outcome>();
  let kills = 0;
  let next = 0;

  async function sendAll(retries: number): Promise<void> {
    const client = new Letta({ baseURL: target.url, apiKey: target.key, timeout: 12_000, maxRetries: retries });
    next = 0;
    await Promise.all(
      Array.from({ length: concurrency }, async () => {
        while (next < sends) await sendOne(client, `kill-${seed}-${next++}`);
      }),
    );
  }

  async function sendOne(client: Letta, id: string): Promise<void> {
    const outcome = await sendWithSdk(client, target.connectionId, id);
    const earlier = outcomes.get(id);
    if (earlier === "success" && outcome !== "success") contradictions.push(`${id}: success, then ${outcome}`);
    if (outcome === "success" && !target.deliveries.has(id)) contradictions.push(`${id}: success without a delivery`);
    outcomes.set(id, outcome);
  }

  let isSending = true;
  const killing = (async () => {
    for (let killAt = random.below(sendsPerKill); isSending; killAt += sendsPerKill) {
      while (isSending && next < killAt) await delay(5);
      if (!isSending || killAt >= sends) return;
      await delay(random.below(20));
      await target.restart();
      kills += 1;
    }
  })();
  try {
    await sendAll(5).finally(() => (isSending = false));
    await killing;
    // Every message again: the outcome of the first send, or the first delivery of one that never left.
    await sendAll(2);
  } finally {
    await target.stop();
  }
  counts.sends = sends;
  for (const outcome of outcomes.values()) {
    if (outcome === "unknown") counts.unknown += 1;
    if (outcome === "untyped") counts.untyped += 1;
  }
  for (const deliveries of target.deliveries.values()) {
    counts.delivered += 1;
    if (deliveries > 1) counts.doubled += 1;
  }
  return { counts, kills, contradictions };
}

type Outcome = "success" | "unknown" | "untyped";

async function sendWithSdk(client: Letta, connectionId: string, id: string): Promise<Outcome> {
  try {
    const messages = [{ role: "user" as const, content: id, client_message_id: id }];
    await client.environments.sendMessage(connectionId, { agentId: "agent-1", messages });
    return "success";
  } catch (cause) {
    // A connection that breaks inside a body is a TypeError of `fetch`.
    if (!(cause instanceof APIError || cause instanceof TypeError)) throw cause;
    if (!(cause instanceof APIError) || cause.status === undefined) return "unknown";
    const { errorCode } = (cause.error ?? {}) as { readonly errorCode?: unknown };
    return typeof errorCode === "string" ? "unknown" : "untyped";
  }
}

/** A gateway that can be killed, and what is behind it. */
interface Target {
  readonly url: string;
  readonly key: string;
  readonly connectionId: string;
  /** How often each message was received, by its id. */
  readonly deliveries: ReadonlyMap<string, number>;
  /** Kills the process and starts another one on the same port. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

async function startRemote(): Promise<Target> {
  const upstream = await createCountingUpstream();
  const gateway = await startProcess({
    UPSTREAM_URL: `http://127.0.0.1:${upstream.port}`,
    LETTA_API_KEY: "sk-upstream",
  });
  return {
    ...gateway,
    connectionId: String(remoteRow.connectionId),
    deliveries: upstream.deliveries,
    async stop() {
      await gateway.stop();
      await upstream.close();
    },
  };
}

async function startEmbedded(): Promise<Target> {
  const gateway = await startProcess({});
  const deliveries = new Map<string, number>();
  const options = {
    baseUrl: gateway.url,
    apiKey: await gateway.createConnectKey(),
    deviceId: "box",
    acknowledge(input: Frame) {
      for (const id of messageIds(input)) deliveries.set(id, (deliveries.get(id) ?? 0) + 1);
      return acknowledgeAsStarted(input);
    },
  };
  let device: ScriptedDevice = await connectScriptedDevice(options);
  const { connectionId, wsUrl } = device;
  return {
    ...gateway,
    connectionId,
    deliveries,
    async restart() {
      await gateway.restart();
      await device.closed;
      device = await openDeviceSocket(connectionId, wsUrl, options);
    },
    async stop() {
      await device.close();
      await gateway.stop();
    },
  };
}

function messageIds(input: Frame): readonly string[] {
  const payload = (input["payload"] ?? {}) as {
    readonly messages?: readonly { readonly client_message_id: string }[];
  };
  return (payload.messages ?? []).map(({ client_message_id: id }) => id);
}

async function startProcess(env: Readonly<Record<string, string>>) {
  const dataDir = await mkdtemp(join(tmpdir(), "letta-kill-"));
  const config = join(dataDir, "proxy.config.json");
  await writeFile(config, JSON.stringify({ upstream: { timeoutMs }, rateLimits: { enabled: false } }));
  const args = ["--config", config];
  let proxy: LaunchedProxy = await launchProxy({ dataDir, args, env });
  const { url } = proxy;
  const port = Number(new URL(url).port);
  return {
    url,
    key: await proxy.createKey({ scopes: ["list", "read", "send"] }),
    createConnectKey: () => proxy.createKey({ scopes: ["connect"] }),
    async restart() {
      await proxy.process.stop("SIGKILL");
      proxy = await launchProxy({ dataDir, args, env, port });
    },
    async stop() {
      await proxy.stop();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/**
 * Streams of events under load: 1,000 readers, each with a key for one of 1,000 devices, while 500 messages a second are sent. Each device
 * answers a message with the frames of a short turn, and writes the time into a piece of output; its reader measures how long that took. The
 * gateway runs on one core, everything else on the other.
 */
import { Agent, request } from "node:http";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { launchProcess } from "../../packages/testkit/src/process.ts";
import { runLettaProxy } from "../../packages/testkit/src/proxy.ts";
import { openRawSocket, type RawSocket, textFrame } from "../attacks/raw-socket.ts";
import { pinned } from "../harness/pin.ts";
import type { BenchmarkResult } from "../harness/result.ts";
import { quantile } from "../harness/statistics.ts";

const readerCount = Number(process.env["READERS"] ?? 1_000);
const sendsPerSecond = Number(process.env["TENANTS"] ?? 500);
const seconds = Number(process.env["EVENT_SECONDS"] ?? 20);
const entry = process.env["GATEWAY_ENTRY"] ?? resolve(import.meta.dirname, "../../apps/proxy/dist/node.js");
const goalMs = 50;

/** The limits are those of a gateway for a thousand devices of one owner. */
const config = {
  rateLimits: {
    policies: Object.fromEntries(
      ["sendMessage", "registerEnvironment", "openDeviceSocket", "administerKeys", "streamEvents"].map((route) => [
        `bench-${route}`,
        { per: ["key"], limit: 1_000_000, windowMs: 60_000, routes: [route] },
      ]),
    ),
  },
};

interface Key {
  readonly key: string;
}

/** Measures the time from a frame of a device to its reader. */
export async function measureEvents(): Promise<BenchmarkResult> {
  const dataDir = await mkdtemp(join(tmpdir(), "letta-events-"));
  const configFile = join(dataDir, "proxy.config.json");
  await writeFile(configFile, JSON.stringify(config));
  const [command, args] = pinned(0, process.execPath, [
    ...[entry, "start", "--log", "json", "--port", "0"],
    ...["--data-dir", dataDir, "--config", configFile],
  ]);
  const gateway = launchProcess({ command, args });
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  try {
    const [, url = ""] = await gateway.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
    const scopes = ["admin", "connect", "send", "list", "read", "view"].flatMap((scope) => ["--scope", scope]);
    const words = ["keys", "create", "--name", "bench", ...scopes, "--data-dir", dataDir];
    const key = (await runLettaProxy(words)).stdout.trim();
    const call = <Body>(method: string, path: string, body: object): Promise<Body> =>
      callJson<Body>(agent, `${url}${path}`, method, key, body);
    const connections: string[] = [];
    const latencies: number[] = [];
    const counts = { received: 0, failed: 0 };
    for (let index = 0; index < readerCount; index += 1) {
      const deviceId = `device-${index}`;
      const registered = await call<{ readonly connectionId: string; readonly wsUrl: string }>(
        "POST",
        "/v1/environments/register",
        { deviceId, connectionName: deviceId, metadata: { os: "linux" } },
      );
      const socket = await openRawSocket(registered.wsUrl, key);
      if (socket === null) throw new Error("a device was refused");
      answerInputs(socket);
      connections.push(registered.connectionId);
      const grant = { name: deviceId, scopes: ["list", "read", "view"], deviceIds: [deviceId] };
      const reader = await call<Key>("POST", "/admin/v1/keys", grant);
      await openReader(url, reader.key, (latencyMs) => {
        counts.received += 1;
        latencies.push(latencyMs);
      });
    }
    await delay(1_000);
    latencies.length = 0;
    counts.received = 0;
    const sends = await sendSteadily(call, connections, counts);
    await delay(2_000);
    const figures = {
      readers: readerCount,
      sends,
      received: counts.received,
      failed: counts.failed,
      p50Ms: quantile(latencies, 0.5),
      p99Ms: quantile(latencies, 0.99),
      maxMs: quantile(latencies, 1),
    };
    return describeResult(figures);
  } finally {
    agent.destroy();
    await gateway.stop("SIGKILL");
    await rm(dataDir, { recursive: true, force: true });
  }
}

/** Sends at a steady rate, whatever became of earlier sends. Resolves with their number. */
async function sendSteadily(
  call: (method: string, path: string, body: object) => Promise<unknown>,
  connections: readonly string[],
  counts: { failed: number },
): Promise<number> {
  const startedAt = performance.now();
  let sent = 0;
  while (performance.now() - startedAt < seconds * 1_000) {
    const due = Math.floor(((performance.now() - startedAt) * sendsPerSecond) / 1_000);
    for (; sent < due; sent += 1) {
      const message = { role: "user", content: "hello", client_message_id: `message-${sent}` };
      const path = `/v1/environments/${connections[sent % connections.length]}/messages`;
      call("POST", path, { agentId: "agent-1", messages: [message] }).catch(() => (counts.failed += 1));
    }
    await delay(2);
  }
  return sent;
}

/** Answers each input with its acknowledgement and the frames of a turn. */
function answerInputs(socket: RawSocket): void {
  const runtime = { agent_id: "agent-1", conversation_id: "default" };
  let text = "";
  let number = 0;
  socket.tcp.on("data", (bytes: Buffer) => {
    text += bytes.toString("latin1");
    for (const [, requestId] of text.matchAll(/"type":"input","request_id":"([^"]+)"/g)) {
      number += 1;
      const content = String(performance.now());
      const frames = [
        { type: "input_accepted", request_id: requestId, accepted: true, disposition: "started", runtime },
        { type: "update_loop_status", loop_status: { status: "PROCESSING_API_RESPONSE" }, runtime },
        {
          type: "stream_delta",
          delta: { message_type: "assistant_message", id: `m-${number}`, content },
          runtime,
          idempotency_key: `stream_delta:${number}`,
        },
        { type: "turn_finished", stop_reason: "end_turn", runtime },
      ];
      void socket.write(Buffer.concat(frames.map(textFrame)));
    }
    text = text.slice(text.lastIndexOf('"type":"input"') === -1 ? -20 : text.length);
  });
}

/** Opens a stream, and reports the time from each piece of output to its arrival. */
function openReader(url: string, key: string, onOutput: (latencyMs: number) => void): Promise<void> {
  return new Promise((resolvePromise, reject) => {
    const headers = { authorization: `Bearer ${key}` };
    const outgoing = request(
      `${url}/v1/environments/events?include=output`,
      { agent: new Agent(), headers },
      (incoming) => {
        incoming.setEncoding("latin1").on("data", (text: string) => {
          const now = performance.now();
          for (const [, sentAt] of text.matchAll(/"content":"([\d.]+)"/g)) onOutput(now - Number(sentAt));
        });
        incoming.on("error", () => undefined);
        if (incoming.statusCode === 200) resolvePromise();
        else reject(new Error(`no stream: ${incoming.statusCode}`));
      },
    );
    outgoing.on("error", reject);
    outgoing.end();
  });
}

function callJson<Body>(agent: Agent, url: string, method: string, key: string, body: object): Promise<Body> {
  return new Promise((resolvePromise, reject) => {
    const headers = { "content-type": "application/json", authorization: `Bearer ${key}` };
    const outgoing = request(url, { agent, method, headers }, (incoming) => {
      let text = "";
      incoming.setEncoding("utf8").on("data", (part: string) => (text += part));
      incoming.on("end", () => {
        const { statusCode = 0 } = incoming;
        if (statusCode < 300) resolvePromise(JSON.parse(text) as Body);
        else reject(new Error(`${method} ${url}: ${statusCode} ${text}`));
      });
    });
    outgoing.on("error", reject);
    outgoing.end(JSON.stringify(body));
  });
}

function describeResult(figures: Readonly<Record<string, number>>): BenchmarkResult {
  const { readers = 0, sends = 0, received = 0, failed = 0, p50Ms = 0, p99Ms = 0, maxMs = 0 } = figures;
  return {
    tables: [
      {
        caption: `Milliseconds from a frame of a device to its reader: ${readers} readers, each of one device, and ${sendsPerSecond} sends a second for ${seconds} s.`,
        columns: ["readers", "sends", "failed", "events", "p50", "p99", "largest"],
        rows: [[readers, sends, failed, received, p50Ms.toFixed(1), p99Ms.toFixed(1), maxMs.toFixed(1)].map(String)],
      },
    ],
    goals: [
      { goal: `p99 of at most ${goalMs} ms`, shown: `${p99Ms.toFixed(1)} ms`, met: p99Ms <= goalMs },
      {
        goal: "every piece of output arrives",
        shown: `${received} of ${sends}`,
        met: received === sends && failed === 0,
      },
    ],
    data: figures,
  };
}

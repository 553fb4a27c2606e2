import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { launchProcess, type LaunchedProcess } from "../packages/testkit/src/process.ts";
import { runLettaProxy } from "../packages/testkit/src/proxy.ts";
import { pinned } from "./harness/pin.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { quantile } from "./harness/statistics.ts";

/** The gateway under test. Name another checkout's entry to compare it. */
const entry = process.env["GATEWAY_ENTRY"] ?? resolve(import.meta.dirname, "../apps/proxy/src/runtimes/node.ts");
const seconds = Number(process.env["OVERLOAD_SECONDS"] ?? 60);

/** The upstream takes this long, and the tenant may have this many calls in progress: at most 80 a second, so that the machine does not limit the load. */
const upstreamMs = 50;
const concurrentCalls = 4;

interface Observed {
  readonly offered: number;
  readonly served: number;
  readonly refused: number;
  /** Neither 200 nor 503. */
  readonly other: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** When the last request was refused, in milliseconds since the begin of the phase; 0: none was. */
  readonly lastRefusalMs: number;
  readonly memoryMb: number;
}

/**
 * A gateway whose tenant asks ten times as often as its upstream can serve. Requests arrive at fixed times, whatever became of
 * the earlier ones (open loop), and refused ones are not repeated.
 */
export async function measureOverload(): Promise<BenchmarkResult> {
  const upstream = await startUpstream();
  const folder = await mkdtemp(join(tmpdir(), "letta-bench-"));
  const config = join(folder, "proxy.config.json");
  const concurrency = { maxConcurrentPerTenant: concurrentCalls };
  await writeFile(
    config,
    JSON.stringify({ upstream: concurrency, cache: { enabled: false }, rateLimits: { enabled: false } }),
  );
  const where = ["--data-dir", join(folder, "data"), "--config", config];
  const gateway = startGateway([...where, "--port", "0", "--log", "json"], upstream);
  try {
    const [, url = ""] = await gateway.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
    const { stdout } = await runLettaProxy(["keys", "create", "--name", "bench", "--scope", "read", ...where]);
    const key = stdout.trim();
    await measureCapacity(url, key);
    const capacity = await measureCapacity(url, key);
    const load = (rate: number, duration: number): Promise<Observed> => run(url, key, rate, duration, gateway.pid);
    const quiet = await load(capacity / 2, 5);
    const begin = await load(capacity * 10, 5);
    const overloaded = await load(capacity * 10, seconds);
    const after = await load(capacity / 2, 5);
    return resultOf(capacity, { quiet, "overloaded for 5 s": begin, overloaded, after });
  } finally {
    await gateway.stop();
    upstream.closeAllConnections();
    upstream.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function startGateway(words: readonly string[], upstream: Server): LaunchedProcess {
  const { port } = upstream.address() as AddressInfo;
  const flags = ["--disable-warning=ExperimentalWarning", entry, "start"];
  const [command, args] = pinned(0, process.execPath, [...flags, ...words]);
  return launchProcess({
    command,
    args,
    env: { UPSTREAM_URL: `http://127.0.0.1:${port}`, LETTA_API_KEY: "sk-bench" },
  });
}

async function startUpstream(): Promise<Server> {
  const row = { id: "1", deviceId: "d", connectionName: "n", connectionId: null };
  const server = createServer((_incoming, outgoing) => {
    setTimeout(() => {
      outgoing.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(row));
    }, upstreamMs);
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  return server;
}

/** Returns how many requests a second are served to as many callers as the tenant may have calls in progress. */
async function measureCapacity(url: string, key: string): Promise<number> {
  const agent = new Agent({ keepAlive: true });
  const endsAt = performance.now() + 4_000;
  let served = 0;
  const call = async (): Promise<void> => {
    while (performance.now() < endsAt) {
      if ((await statusOf(`${url}/v1/environments/device`, key, agent)) === 200) served += 1;
    }
  };
  await Promise.all(Array.from({ length: concurrentCalls }, call));
  agent.destroy();
  return served / 4;
}

async function run(url: string, key: string, rate: number, duration: number, pid: number): Promise<Observed> {
  const agent = new Agent({ keepAlive: true, maxSockets: 2_000 });
  const latencies: number[] = [];
  const count = { refused: 0, other: 0 };
  let lastRefusalMs = 0;
  let memoryMb = 0;
  const pending = new Set<Promise<void>>();
  const beganAt = performance.now();
  for (let sent = 0; sent < rate * duration;) {
    const due = ((performance.now() - beganAt) / 1_000) * rate;
    for (; sent < due; sent++) {
      const path = `${url}/v1/environments/device-${sent}`;
      const sentAt = performance.now();
      const call = statusOf(path, key, agent).then((status) => {
        const nowMs = performance.now();
        if (status === 200) latencies.push(nowMs - sentAt);
        else if (status === 503) {
          count.refused += 1;
          lastRefusalMs = nowMs - beganAt;
        } else count.other += 1;
        pending.delete(call);
      });
      pending.add(call);
    }
    memoryMb = Math.max(memoryMb, residentMb(pid));
    await delay(2);
  }
  await Promise.all(pending);
  agent.destroy();
  return {
    offered: rate,
    served: latencies.length / duration,
    refused: count.refused / duration,
    other: count.other / duration,
    p50Ms: quantile(latencies, 0.5),
    p99Ms: quantile(latencies, 0.99),
    lastRefusalMs,
    memoryMb,
  };
}

/** Resolves with 0 when the connection fails. */
function statusOf(url: string, key: string, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    request(url, { agent, headers: { authorization: `Bearer ${key}` } }, (response) => {
      response.resume().once("end", () => resolve(response.statusCode ?? 0));
    })
      .once("error", () => resolve(0))
      .end();
  });
}

function residentMb(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kilobytes) / 1_024;
}

type Phases = Readonly<Record<"quiet" | "overloaded for 5 s" | "overloaded" | "after", Observed>>;

function resultOf(capacity: number, phases: Phases): BenchmarkResult {
  const { quiet, "overloaded for 5 s": begin, overloaded, after } = phases;
  const rows = Object.entries(phases).map(([name, observed]) => [
    name,
    ...[observed.offered, observed.served, observed.refused, observed.other].map((value) => value.toFixed(0)),
    ...[observed.p50Ms, observed.p99Ms, observed.memoryMb].map((value) => value.toFixed(1)),
  ]);
  const goodput = overloaded.served / capacity;
  const slower = overloaded.p99Ms / quiet.p99Ms;
  const grownMb = overloaded.memoryMb - begin.memoryMb;
  return {
    tables: [
      {
        caption:
          `Reads of single devices, requests a second. The upstream takes ${upstreamMs} ms, and the tenant may have ${concurrentCalls} calls in ` +
          `progress: alone they get ${capacity.toFixed(0)} a second. The overload lasts ${seconds} s.`,
        columns: ["phase", "offered", "served", "503", "other", "p50 ms", "p99 ms", "memory MB"],
        rows,
      },
    ],
    goals: [
      {
        goal: "goodput under 10x overload: at least 80 % of the capacity",
        shown: percent(goodput),
        met: goodput >= 0.8,
      },
      { goal: "p99 of served requests: at most 3x quiet", shown: `${slower.toFixed(2)}x`, met: slower <= 3 },
      {
        goal: "every response is 200 or 503",
        shown: `${overloaded.other.toFixed(1)} others/s`,
        met: overloaded.other === 0,
      },
      { goal: "recovery within 2 s", shown: `${after.lastRefusalMs.toFixed(0)} ms`, met: after.lastRefusalMs <= 2_000 },
      {
        goal: "growth of memory after the first 5 s: at most 64 MB",
        shown: `${grownMb.toFixed(1)} MB`,
        met: grownMb <= 64,
      },
    ],
    data: { capacity, ...phases },
  };
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

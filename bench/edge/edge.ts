/**
 * The gateway in workerd, next to bare Workers with and without a Durable Object call: added latency, CPU time, throughput, cold start,
 * and the calls and rows of each kind of request, from which its cost follows. workerd runs without a platform around it, so an object
 * is in the same process and the Cache API is a Worker: the figures compare, they do not predict a data centre.
 */
import { administerKeys } from "../../apps/proxy/test/runtimes/workerd-launcher.ts";
import { keepToCores, type Load, measureLoad, requestText } from "./load.ts";
import { costOfMillion, prices, type Usage } from "./prices.ts";
import { type EdgeWorker, type RunningWorkerd, startWorkerd, workerdVersion } from "./start-workerd.ts";
import type { BenchmarkResult, Table } from "../harness/result.ts";
import { format, quantile, type Summary, summarise } from "../harness/statistics.ts";
import { connectionIdOf, devicePath } from "../systems/fixed-answer.ts";

const rounds = 6;
const sliceMs = 900;
/** Connections of the measurement of throughput and CPU time; latency is measured with one. */
const connections = 64;
const starts = 7;
/** Requests of each kind whose calls are counted, and those of the caller that is slower than a request a second. */
const countedRequests = 400;
const slowRequests = 5;
/** The share of a bare Worker with one call that a hit must reach. */
const leastShare = 0.7;

/** Limits that the load does not reach. */
const config = {
  rateLimits: {
    policies: {
      "gateway-requests": { per: ["key"], limit: 6_000_000, windowMs: 60_000, burst: 1_000_000 },
      "gateway-running-sends": { per: ["key"], unit: "concurrent-requests", limit: 1_000, routes: ["sendMessage"] },
    },
  },
};

interface Kind {
  readonly name: string;
  readonly load: Load;
}

interface Measured {
  readonly name: string;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly cpuUs: Summary;
  readonly requestsPerSecond: Summary;
  /** Requests a second of the bare Worker with a call in the same round, as a share. */
  readonly share: Summary;
}

/** Measures the gateway in workerd. */
export async function measureEdge(): Promise<BenchmarkResult> {
  const measured = await measureKinds();
  const usage = await countUsage();
  const cold = await measureStarts();
  const share = measured.find(({ name }) => name === kindNames.hit)?.share.median ?? 0;
  return {
    tables: [tableOfKinds(measured), tableOfUsage(usage, measured), tableOfStarts(cold)],
    goals: [
      {
        goal: `a hit reaches ${leastShare} of the requests a second of a bare Worker with one Durable Object call`,
        shown: share.toFixed(2),
        met: share >= leastShare,
      },
      {
        goal: "a hit: at most one Durable Object call and two calls of the Cache API; a send: at most three",
        shown: "the table above",
        met: usage.every(({ name, used }) => isWithinCalls(name, used)),
      },
    ],
    data: { measured, usage, cold, prices },
  };
}

/** How many calls of a kind are left to those behind the responses: each isolate looks for changed keys once a second. */
const callsBehind = 0.1;

function isWithinCalls(name: string, { calls, cacheCalls }: Usage): boolean {
  if (name === kindNames.hit) return calls <= 1 + callsBehind && cacheCalls <= 2;
  return name !== kindNames.send || calls <= 3 + callsBehind;
}

const kindNames = {
  bare: "bare Worker",
  object: "bare Worker, one Durable Object call",
  hit: "hit, one device",
  miss: "miss, one device",
  send: "send",
} as const;

async function createKey(url: string): Promise<string> {
  return (await administerKeys(url).createKey({ scopes: ["list", "read", "send"] })).key;
}

function kindsOf(url: string, key: string): readonly Kind[] {
  const message = { role: "user", content: "hi", client_message_id: "message-{n}" };
  const send = { agentId: "agent-1", messages: [message] };
  const connectionPath = `/v1/environments/${connectionIdOf(0)}/messages`;
  return [
    { name: kindNames.hit, load: { url, request: requestText(url, devicePath, key) } },
    { name: kindNames.miss, load: { url, request: requestText(url, `${devicePath}-{n}`, key) } },
    { name: kindNames.send, load: { url, request: requestText(url, connectionPath, key, send) } },
  ];
}

async function measureKinds(): Promise<readonly Measured[]> {
  const workerd = await startWorkerd(["gateway", "bare"], config);
  keepToCores("1");
  try {
    const [gateway, bare] = [workerd.url("gateway"), workerd.url("bare")];
    const kinds: readonly Kind[] = [
      { name: kindNames.bare, load: { url: bare, request: requestText(bare, "/plain", "none") } },
      { name: kindNames.object, load: { url: bare, request: requestText(bare, "/", "none") } },
      ...kindsOf(gateway, await createKey(gateway)),
    ];
    const slices = kinds.map(({ name, load }) => ({
      name,
      load,
      latencies: [] as number[],
      cpuUs: [] as number[],
      rates: [] as number[],
    }));
    for (let round = 0; round <= rounds; round++) {
      for (const slice of slices) await measureRound(workerd, slice, round > 0);
    }
    const objectRates = slices.find(({ name }) => name === kindNames.object)?.rates ?? [];
    return slices.map(({ name, latencies, cpuUs, rates }) => ({
      name,
      p50Us: quantile(latencies, 0.5),
      p99Us: quantile(latencies, 0.99),
      cpuUs: summarise(cpuUs),
      requestsPerSecond: summarise(rates),
      share: summarise(rates.map((rate, round) => rate / (objectRates[round] ?? Infinity))),
    }));
  } finally {
    keepToCores(null);
    await workerd.stop();
  }
}

async function measureRound(
  workerd: RunningWorkerd,
  { load, latencies, cpuUs, rates }: { load: Load; latencies: number[]; cpuUs: number[]; rates: number[] },
  counts: boolean,
): Promise<void> {
  const alone = await measureLoad(load, 1, sliceMs / 2);
  const before = workerd.cpuUs();
  const startedAt = performance.now();
  const many = await measureLoad(load, connections, sliceMs);
  if (!counts) return;
  latencies.push(...alone);
  // The first tenth of a slice is not in the result, but in the CPU time.
  const requests = many.length / 0.9;
  cpuUs.push((workerd.cpuUs() - before) / requests);
  rates.push((requests * 1_000) / (performance.now() - startedAt));
}

/** The calls and rows of each kind of request, counted in the Worker. */
async function countUsage(): Promise<readonly { readonly name: string; readonly used: Usage }[]> {
  const workerd = await startWorkerd(["counting"], config);
  try {
    const url = workerd.url("counting");
    const kinds = kindsOf(url, await createKey(url));
    const readCounts = async (): Promise<Usage> => (await (await fetch(`${url}/counts`)).json()) as Usage;
    const counted: { name: string; used: Usage }[] = [];
    const count = async (name: string, { request }: Load, requests: number, pauseMs: number): Promise<void> => {
      await sendOne(url, request);
      await pause(settleMs);
      await readCounts();
      for (let sent = 0; sent < requests; sent++) {
        await sendOne(url, request);
        await pause(pauseMs);
      }
      await pause(settleMs);
      counted.push({ name, used: divide(await readCounts(), requests) });
    };
    for (const { name, load } of kinds) await count(name, load, countedRequests, 0);
    const [hit] = kinds;
    // The isolate looks for changed keys behind each of them, and refreshes the response behind each second one.
    if (hit !== undefined) await count("hit, one each 1.5 s", hit.load, slowRequests, 1_500);
    return counted;
  } finally {
    await workerd.stop();
  }
}

/** How long calls behind a response may take until they are counted, in milliseconds. */
const settleMs = 300;

async function sendOne(url: string, request: string): Promise<void> {
  await measureLoad({ url, request }, 1, 0);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms));
}

function divide(usage: Usage, by: number): Usage {
  return {
    calls: usage.calls / by,
    cacheCalls: usage.cacheCalls / by,
    rowsRead: usage.rowsRead / by,
    rowsWritten: usage.rowsWritten / by,
  };
}

interface ColdStart {
  readonly name: string;
  readonly ms: Summary;
}

/** The time from the start of workerd to the first 200. */
async function measureStarts(): Promise<readonly ColdStart[]> {
  const workers: readonly (readonly [EdgeWorker, string])[] = [
    ["bare", "/plain"],
    ["gateway", "/livez"],
  ];
  const times = workers.map(() => [] as number[]);
  for (let start = 0; start <= starts; start++) {
    for (const [index, [worker, path]] of workers.entries()) {
      const startedAt = performance.now();
      const workerd = await startWorkerd([worker], config);
      const response = await fetch(`${workerd.url(worker)}${path}`);
      await response.arrayBuffer();
      const ms = performance.now() - startedAt;
      await workerd.stop();
      if (response.status !== 200) throw new Error(`${worker} responded with ${response.status}.`);
      if (start > 0) times[index]?.push(ms);
    }
  }
  return workers.map(([name], index) => ({ name, ms: summarise(times[index] ?? []) }));
}

function tableOfKinds(measured: readonly Measured[]): Table {
  const [bare, object] = measured;
  const added = (value: number, from: number | undefined): string => ((value - (from ?? 0)) / 1_000).toFixed(2);
  return {
    caption:
      `workerd ${workerdVersion}: milliseconds added to a bare Worker, and to one with a Durable Object call, with one request ` +
      `at a time; with ${connections} connections CPU time of the whole process, including the objects, the Cache API and the upstream, and ` +
      `requests a second as a share of the bare Worker with a call. ${rounds} interleaved rounds: medians.`,
    columns: ["", "added p50", "added p99", "p50 over one call", "p99 over one call", "CPU us a request", "share"],
    rows: measured.map(({ name, p50Us, p99Us, cpuUs, share }) => [
      name,
      added(p50Us, bare?.p50Us),
      added(p99Us, bare?.p99Us),
      added(p50Us, object?.p50Us),
      added(p99Us, object?.p99Us),
      cpuUs.median.toFixed(0),
      format(share, 2),
    ]),
  };
}

function tableOfUsage(
  usage: readonly { readonly name: string; readonly used: Usage }[],
  measured: readonly Measured[],
): Table {
  const cpuOf = (name: string): number =>
    measured.find((kind) => name.startsWith(kind.name.split(",")[0] ?? name))?.cpuUs.median ?? 0;
  return {
    caption:
      `Calls and rows of a request, and dollars for a million of them beyond what the paid plan includes, with the CPU time above. Prices of ` +
      `${prices.sources.join(" and ")}, read on ${prices.readAt} in a stored copy: ${prices.requests} for a million requests, ${prices.cpuMs} for a ` +
      `million CPU ms, ${prices.objectRequests} for a million object calls, ${prices.rowsWritten} for a million rows written, ` +
      `${prices.rowsRead} for a million rows read; excluding stored data and the time that objects are in memory.`,
    columns: ["", "object calls", "Cache API", "rows read", "rows written", "dollars a million"],
    rows: usage.map(({ name, used }) => [
      name,
      used.calls.toFixed(2),
      used.cacheCalls.toFixed(2),
      used.rowsRead.toFixed(2),
      used.rowsWritten.toFixed(2),
      costOfMillion(used, cpuOf(name)).toFixed(2),
    ]),
  };
}

function tableOfStarts(cold: readonly ColdStart[]): Table {
  return {
    caption: `Milliseconds from the start of workerd to the first 200, ${starts} starts each: median (smallest to largest).`,
    columns: ["Worker", "start to first 200"],
    rows: cold.map(({ name, ms }) => [name, format(ms, 0)]),
  };
}

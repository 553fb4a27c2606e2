import process from "node:process";
import { pins } from "../harness/pin.ts";
import { moveToCore } from "../harness/proc.ts";
import type { BenchmarkResult, Goal, Table } from "../harness/result.ts";
import { measureStart } from "../start.ts";
import { tableOfLatency } from "./added-latency.ts";
import { measureEmbedded } from "./embedded.ts";
import { embeddedLoads, type LoadName, remoteLoads } from "./loads.ts";
import type { MeasuredLoad, RoundOptions } from "./measure-rounds.ts";
import { measureMemory, summariseMemory } from "./memory.ts";
import { tableOfOverview } from "./overview.ts";
import { measureRemote } from "./remote.ts";
import { hasWrk, loadCore } from "./run-load.ts";
import { listSystems } from "./servers/systems.ts";
import { defaultToleratedShare } from "./slice.ts";
import { dataOf, tableOfLoad } from "./summary.ts";
import type { System } from "./system.ts";
import { goalsOfLoad } from "./targets.ts";

const rounds = Number(process.env["GATEWAY_ROUNDS"] ?? 7);
const seconds = Number(process.env["GATEWAY_SECONDS"] ?? 1);
const toleratedShare = Number(process.env["GATEWAY_TOLERATE"] ?? defaultToleratedShare);
const connections = 64;
const options: RoundOptions = { rounds, seconds, connections, warmUpSeconds: 4, toleratedShare };
const latencyOptions: RoundOptions = { ...options, rounds: Math.ceil(rounds / 2), connections: 1, warmUpSeconds: 1 };

const rows = [...remoteLoads, "latency", ...embeddedLoads, "memory", "start"] as const;
type Row = (typeof rows)[number];

/**
 * Measures the gateway on every runtime beside other gateways and bare servers: cache hits, misses, sends, what it adds to the time of a request,
 * the embedded server, memory and start.
 */
export async function measureGateway(): Promise<BenchmarkResult> {
  const wanted = selected("GATEWAY_ROWS", rows);
  const systems = selectSystems();
  // Starts may use both cores.
  const start = wanted.has("start") ? [await measureStart()] : [];
  moveToCore(process.pid, loadCore);
  const runtimes = (["node", "bun", "deno"] as const).filter((runtime) => systems.some(({ id }) => id === runtime));
  const parts = [await measureRemoteRows(systems, wanted)];
  const embedded = embeddedLoads.filter((load) => wanted.has(load));
  if (embedded.length > 0) {
    const { names, loads } = await measureEmbedded(runtimes, embedded, options);
    parts.push(partOfLoads(loads, () => names, new Map()));
  }
  if (wanted.has("memory")) {
    const measured = [];
    for (const runtime of runtimes) if (runtime !== "deno") measured.push(await measureMemory(runtime));
    parts.push(summariseMemory(measured));
  }
  parts.push(...start);
  const overview = parts[0]?.overview;
  return {
    tables: parts.flatMap(({ tables }) => tables),
    goals: parts.flatMap(({ goals }) => goals),
    ...(overview !== undefined && { overview }),
    data: parts.map(({ data }) => data),
  };
}

function selected<Name extends string>(variable: string, all: readonly Name[]): ReadonlySet<Name> {
  const given = (process.env[variable] ?? "").split(",").filter(Boolean);
  const unknown = given.filter((name) => !all.some((known) => known === name));
  if (unknown.length > 0) throw new Error(`${variable}: unknown: ${unknown.join(", ")}; known: ${all.join(", ")}`);
  return new Set(given.length === 0 ? all : all.filter((name) => given.includes(name)));
}

/** The systems of GATEWAY_SYSTEMS that can be measured here; says loudly which cannot. */
function selectSystems(): readonly System[] {
  const all = listSystems();
  const ids = selected(
    "GATEWAY_SYSTEMS",
    all.map(({ id }) => id),
  );
  const warn = (text: string): void => void process.stderr.write(`\nNOT MEASURED: ${text}\n\n`);
  if (!hasWrk) warn("fast servers at their limit. Install the Debian package wrk: the load generator here is slower.");
  for (const { id, name, missing } of all) {
    if (missing !== null && ids.has(id)) warn(`${name}. Install ${missing}.`);
  }
  return all.filter(({ id, missing }) => ids.has(id) && missing === null);
}

async function measureRemoteRows(systems: readonly System[], wanted: ReadonlySet<Row>): Promise<BenchmarkResult> {
  const loads = remoteLoads.filter((load) => wanted.has(load));
  const latencyRounds = wanted.has("latency") ? latencyOptions : null;
  if (loads.length === 0 && latencyRounds === null) return { tables: [], goals: [], data: null };
  const measured = await measureRemote(systems, { loads, rounds: options, latencyRounds });
  const part = partOfLoads(
    measured.loads,
    (load) => namesOf(systems, (system) => system.loads.includes(load)),
    namesOf(systems, ({ kind }) => kind === "peer"),
  );
  const overview = tableOfOverview(
    measured.loads,
    namesOf(systems, ({ kind, id }) => kind !== "bare" && !id.endsWith("-disk")),
  );
  const latency = tableOfLatency(measured.latency, namesOf(systems), latencyOptions.rounds);
  return {
    ...part,
    tables: [...part.tables, ...(latencyRounds === null ? [] : [latency])],
    ...(loads.length > 0 && { overview }),
    data: [part.data, [...measured.latency].map(([load, slices]) => ({ load, ...dataOf(slices) }))],
  };
}

function namesOf(systems: readonly System[], isWanted: (system: System) => boolean = () => true) {
  return new Map(systems.filter(isWanted).map(({ id, name }) => [id, name]));
}

function partOfLoads(
  measured: ReadonlyMap<LoadName, MeasuredLoad>,
  namesFor: (load: LoadName) => ReadonlyMap<string, string>,
  peers: ReadonlyMap<string, string>,
): BenchmarkResult {
  const loads = [...measured];
  const setup =
    `${connections} connections, ${rounds} rounds of slices of ${seconds} s; gateway and load ` +
    `${pins() ? "on a core each" : "not pinned"}; other programs used at most ${100 * toleratedShare} %`;
  return {
    tables: loads.map(([load, slices]): Table => tableOfLoad(load, slices, namesFor(load), setup)),
    goals: loads.flatMap(([load, slices]): readonly Goal[] => goalsOfLoad(load, slices, peers)),
    data: loads.map(([load, slices]) => ({ load, ...dataOf(slices) })),
  };
}

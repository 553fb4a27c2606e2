import process from "node:process";
import { moveToCore } from "../harness/proc.ts";
import { pins } from "../harness/pin.ts";
import type { BenchmarkResult, Goal, Table } from "../harness/result.ts";
import { measureStart } from "../start.ts";
import { latencyLoads, originId, tableOfLatency } from "./added-latency.ts";
import { assertServes } from "./assert-serves.ts";
import { measureEmbedded } from "./embedded.ts";
import { embeddedLoads, type LoadName, remoteLoads, requestOf } from "./loads.ts";
import { type MeasuredLoad, measureRounds, type Participant, type RoundOptions } from "./measure-rounds.ts";
import { measureMemory, summariseMemory } from "./memory.ts";
import { hasWrk, loadCore } from "./run-load.ts";
import { startOrigin } from "./servers/start-origin.ts";
import { tableOfOverview } from "./overview.ts";
import { defaultToleratedShare } from "./slice.ts";
import { tableOfLoad } from "./summary.ts";
import type { RunningSystem, System } from "./system.ts";
import { listSystems } from "./servers/systems.ts";
import { goalsOfLoad } from "./targets.ts";

const rounds = Number(process.env["GATEWAY_ROUNDS"] ?? 7);
const seconds = Number(process.env["GATEWAY_SECONDS"] ?? 1);
const toleratedShare = Number(process.env["GATEWAY_TOLERATE"] ?? defaultToleratedShare);
const connections = 64;
const options: RoundOptions = { rounds, seconds, connections, warmUpSeconds: 4, toleratedShare };
const latencyOptions: RoundOptions = {
  rounds: Math.ceil(rounds / 2),
  seconds,
  connections: 1,
  warmUpSeconds: 1,
  toleratedShare,
};
const setup = `${connections} connections, ${rounds} rounds of slices of ${seconds} s; gateway and load ${pins() ? "on a core each" : "not pinned"}; others used at most ${100 * toleratedShare} % of a core`;

const rows = [...remoteLoads, "latency", ...embeddedLoads, "memory", "start"] as const;
type Row = (typeof rows)[number];

/**
 * Measures the gateway on every runtime beside other gateways and bare servers: cache hits, misses, sends, what it adds to the time of a request,
 * the embedded server, memory and start.
 */
export async function measureGateway(): Promise<BenchmarkResult> {
  const wanted = selected("GATEWAY_ROWS", rows);
  const systems = selectSystems();
  moveToCore(process.pid, loadCore);
  const parts: BenchmarkResult[] = [];
  if ([...remoteLoads, "latency" as const].some((row) => wanted.has(row)))
    parts.push(await measureRemote(systems, wanted));
  const runtimes = (["node", "bun", "deno"] as const).filter((runtime) => systems.some(({ id }) => id === runtime));
  const embedded = embeddedLoads.filter((load) => wanted.has(load));
  if (embedded.length > 0) {
    const { names, loads } = await measureEmbedded(runtimes, embedded, options);
    parts.push(partOfLoads(loads, () => names, new Map()));
  }
  if (wanted.has("memory")) {
    const measured = [];
    for (const runtime of runtimes) if (runtime !== "deno") measured.push(await measureMemory(runtime));
    const { table, goals } = summariseMemory(measured);
    parts.push({ tables: [table], goals, data: measured });
  }
  if (wanted.has("start")) parts.push(await measureStart());
  return {
    tables: parts.flatMap(({ tables }) => tables),
    goals: parts.flatMap(({ goals }) => goals),
    overview: parts.find(({ overview }) => overview != null)?.overview ?? null,
    data: parts.map(({ data }) => data),
  };
}

function selected<Name extends string>(variable: string, all: readonly Name[]): ReadonlySet<Name> {
  const given = (process.env[variable] ?? "").split(",").filter(Boolean);
  const unknown = given.filter((name) => !all.some((known) => known === name));
  if (unknown.length > 0)
    throw new Error(`${variable}: there is no ${unknown.join(", ")}; there are ${all.join(", ")}`);
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
  if (!hasWrk)
    warn("requests a second of fast servers. Install the Debian package wrk; a slower load generator is used.");
  for (const { id, name, missing } of all) {
    if (missing !== null && ids.has(id)) warn(`${name}. Install ${missing}.`);
  }
  return all.filter(({ id, missing }) => ids.has(id) && missing === null);
}

async function measureRemote(systems: readonly System[], wanted: ReadonlySet<Row>): Promise<BenchmarkResult> {
  const origin = await startOrigin();
  const running = new Map<System, RunningSystem>();
  try {
    for (const system of systems) {
      process.stderr.write(`starting ${system.name}\n`);
      const server = await system.start(origin.url);
      running.set(system, server);
      await assertServes(system, server, origin.countRequests);
    }
    const participants = (load: LoadName): readonly Participant[] =>
      [...running].flatMap(([{ id, loads }, { key, pid, helpers, portOf }]) =>
        loads.includes(load)
          ? [
              {
                system: id,
                port: portOf(load),
                request: requestOf(load, key ?? "none"),
                pid,
                helpers: [...helpers, ...origin.pids],
              },
            ]
          : [],
      );
    const measured = new Map<LoadName, MeasuredLoad>();
    for (const load of remoteLoads.filter((name) => wanted.has(name))) {
      measured.set(load, await measureRounds(load, participants(load), options));
    }
    const namesOf = (load: LoadName): ReadonlyMap<string, string> =>
      namesBy(systems.filter(({ loads }) => loads.includes(load)));
    const part = {
      ...partOfLoads(measured, namesOf, namesBy(systems.filter(({ kind }) => kind === "peer"))),
      overview: tableOfOverview(
        measured,
        namesBy(systems.filter(({ kind, id }) => kind !== "bare" && !id.endsWith("-disk"))),
      ),
    };
    if (!wanted.has("latency")) return part;
    const alone = (load: LoadName): Participant => ({
      ...{ system: originId, port: Number(new URL(origin.url).port), pid: origin.pid, helpers: [] },
      request: requestOf(load, "none"),
    });
    const latency = new Map<LoadName, MeasuredLoad>();
    for (const load of latencyLoads) {
      latency.set(load, await measureRounds(load, [alone(load), ...participants(load)], latencyOptions));
    }
    const table = tableOfLatency(
      latency,
      namesBy(systems.filter(({ kind }) => kind !== "bare")),
      latencyOptions.rounds,
    );
    return { ...part, tables: [...part.tables, table], data: [part.data, Object.fromEntries(latency)] };
  } finally {
    await Promise.allSettled([...running.values()].map((server) => server.stop()));
    await origin.stop();
  }
}

function namesBy(systems: readonly System[]): ReadonlyMap<string, string> {
  return new Map(systems.map(({ id, name }) => [id, name]));
}

function partOfLoads(
  measured: ReadonlyMap<LoadName, MeasuredLoad>,
  namesOf: (load: LoadName) => ReadonlyMap<string, string>,
  peers: ReadonlyMap<string, string>,
): BenchmarkResult {
  const loads = [...measured];
  return {
    tables: loads.map(([load, slices]): Table => tableOfLoad(load, slices, namesOf(load), setup)),
    goals: loads.flatMap(([load, { slices }]): readonly Goal[] => goalsOfLoad(load, slices, peers)),
    data: loads.map(([load, { slices, dropped }]) => ({ load, slices, dropped: Object.fromEntries(dropped) })),
  };
}

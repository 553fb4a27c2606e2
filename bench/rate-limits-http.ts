import { join } from "node:path";
import { startControlled } from "./harness/control.ts";
import { connections, type MeasuredServer, measureSlice } from "./harness/measure-slice.ts";
import { pins } from "./harness/pin.ts";
import { cpuUsOfTree } from "./harness/proc.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { findNginx, nginxVersion } from "./harness/start-nginx.ts";
import { format, summarise } from "./harness/statistics.ts";
import { limitCounts } from "./systems/limit-counts.ts";
import { startLimitedNginx } from "./systems/limited-nginx.ts";

const starts = 2;
const rounds = 7;
const sliceMs = 400;
const warmUpMs = 2_000;
const [serverCore, generatorCore] = [0, 1];

/** A server with a port for each number of limits. */
interface LimitedServer extends Omit<MeasuredServer, "port"> {
  /** In the order of `limitCounts`. */
  readonly ports: readonly number[];
  stop(): Promise<void>;
}

/** A server that is measured with and without limits. */
interface LimitedSystem {
  readonly name: string;
  start(): Promise<LimitedServer>;
}

interface LimitedSample {
  readonly system: string;
  readonly start: number;
  readonly round: number;
  readonly limits: number;
  readonly cpuUs: number;
  readonly requestsPerSecond: number;
}

/**
 * Measures the cost of limits over HTTP: the CPU time of a server with them, less that of the same process at a port without, in the
 * same round. Servers run all the time, the load goes to one port after the other in short slices.
 */
export async function measureRateLimitsHttp(): Promise<BenchmarkResult> {
  const nginx = findNginx();
  const nodeSystem = (name: string, file: string, word?: string): LimitedSystem => ({
    name,
    start: () => startNode(join(import.meta.dirname, "systems", file), word === undefined ? [] : [word]),
  });
  const systems: LimitedSystem[] = [
    ...(nginx === null ? [] : [{ name: `${nginxVersion(nginx)}, limit_req`, start: () => startWithNginx(nginx) }]),
    nodeSystem("Hono with hono-rate-limiter", "limited-hono.ts", "hono-rate-limiter"),
    nodeSystem("Hono with rate-limiter-flexible", "limited-hono.ts", "rate-limiter-flexible"),
    nodeSystem("proxy's pipeline with auth", "limited-pipeline.ts"),
  ];
  const samples: LimitedSample[] = [];
  for (let start = 0; start < starts; start++) samples.push(...(await measureStart(systems, start)));
  return tableOf(systems, samples, nginx !== null);
}

async function startWithNginx(command: string): Promise<LimitedServer> {
  const nginx = await startLimitedNginx(command, serverCore);
  return { ...nginx, key: "bench", cpuUs: () => cpuUsOfTree(nginx.pid) };
}

async function startNode(entry: string, words: readonly string[]): Promise<LimitedServer> {
  const preload = join(import.meta.dirname, "harness/report-usage.ts");
  const server = startControlled({ entry, core: serverCore, words, preload });
  try {
    const ports = (await server.told("ports")) as readonly number[];
    const key = words.length > 0 ? "bench" : String(await server.told("key"));
    return {
      ports,
      key,
      async cpuUs() {
        const { user, system } = (await server.ask("usage")) as NodeJS.CpuUsage;
        return user + system;
      },
      stop: () => server.stop(),
    };
  } catch (cause) {
    await server.stop();
    throw cause;
  }
}

async function measureStart(systems: readonly LimitedSystem[], start: number): Promise<readonly LimitedSample[]> {
  const generator = startControlled({
    entry: join(import.meta.dirname, "harness/load-generator.ts"),
    core: generatorCore,
  });
  const running: LimitedServer[] = [];
  try {
    for (const system of systems) running.push(await system.start());
    const places = running.flatMap((server, index) =>
      server.ports.map((port, place) => ({
        system: systems[index]?.name ?? "",
        limits: limitCounts[place] ?? 0,
        server: { ...server, port },
      })),
    );
    for (const { server } of places) await measureSlice(server, generator, warmUpMs);
    const samples: LimitedSample[] = [];
    for (let round = 0; round < rounds; round++) {
      const first = (round * 5) % places.length;
      for (const { system, limits, server } of [...places.slice(first), ...places.slice(0, first)]) {
        samples.push({ system, start, round, limits, ...(await measureSlice(server, generator, sliceMs)) });
      }
    }
    return samples;
  } finally {
    await Promise.allSettled([generator.stop(), ...running.map((server) => server.stop())]);
  }
}

function tableOf(
  systems: readonly LimitedSystem[],
  samples: readonly LimitedSample[],
  hasNginx: boolean,
): BenchmarkResult {
  const measured = systems.flatMap(({ name }) =>
    limitCounts.map((limits) => {
      const own = samples.filter((sample) => sample.system === name && sample.limits === limits);
      const costs = own.map((sample) => sample.cpuUs - withoutLimits(samples, sample));
      return {
        name,
        limits,
        cpuUs: summarise(own.map(({ cpuUs }) => cpuUs)),
        requestsPerSecond: summarise(own.map(({ requestsPerSecond }) => requestsPerSecond)),
        costUs: summarise(costs),
      };
    }),
  );
  const setup = `${connections} connections, ${starts} starts of ${rounds} rounds of ${sliceMs} ms; server and load ${pins() ? "on a core each" : "not pinned"}`;
  return {
    tables: [
      {
        caption:
          `The same response with and without limits that no request reaches; ${setup}. Median (smallest to largest slice). The cost is the ` +
          "difference to the same process without limits in the same round." +
          (hasNginx ? "" : " nginx is not installed here."),
        columns: ["server", "limits", "CPU us a request", "cost of the limits, us", "requests/s"],
        rows: measured.map(({ name, limits, cpuUs, costUs, requestsPerSecond }) => [
          name,
          String(limits),
          format(cpuUs, 1),
          limits === 0 ? "-" : format(costUs, 2),
          format(requestsPerSecond, 0),
        ]),
      },
    ],
    goals: [],
    data: { systems: measured, samples },
  };
}

function withoutLimits(samples: readonly LimitedSample[], { system, start, round }: LimitedSample): number {
  const other = samples.find(
    (sample) => sample.limits === 0 && sample.system === system && sample.start === start && sample.round === round,
  );
  return other?.cpuUs ?? Number.NaN;
}

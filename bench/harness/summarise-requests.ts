import type { BenchmarkResult } from "./result.ts";
import { type Summary, summarise } from "./statistics.ts";

/** One slice of load on one server. */
export interface RequestSample {
  readonly round: number;
  readonly system: string;
  readonly requests: number;
  readonly wallMs: number;
  readonly serverCpuMs: number;
  readonly generatorCpuMs: number;
}

/** A server and what it answered with. */
export interface MeasuredSystem {
  readonly name: string;
  readonly bodyBytes: number;
}

/**
 * Figures of each server, and ratios to the first one. A ratio is taken within a round, where both met the same machine, and
 * only then summarised.
 */
export function summariseRequests(
  samples: readonly RequestSample[],
  systems: readonly MeasuredSystem[],
  setup: string,
): BenchmarkResult {
  const [base] = systems;
  if (base === undefined) throw new Error("Nothing was measured.");
  const measured = systems.map((system) => {
    const own = samples.filter((sample) => sample.system === system.name);
    const ratios = (figure: (sample: RequestSample) => number): Summary =>
      summarise(
        own.flatMap((sample) => {
          const other = samples.find(({ round, system: name }) => round === sample.round && name === base.name);
          return other === undefined ? [] : [figure(sample) / figure(other)];
        }),
      );
    return {
      ...system,
      requestsPerSecond: summarise(own.map(perSecond)),
      cpuUs: summarise(own.map(cpuUsEach)),
      throughputRatio: ratios(perSecond),
      cpuRatio: ratios(cpuUsEach),
      /** How much of its core the server got, and the generator of its own. */
      serverShare: summarise(own.map(({ serverCpuMs, wallMs }) => serverCpuMs / wallMs)),
      generatorShare: summarise(own.map(({ generatorCpuMs, wallMs }) => generatorCpuMs / wallMs)),
    };
  });
  return {
    tables: [
      {
        caption:
          `One device read over HTTP; ${setup}. Median (smallest to largest slice); x is the ratio to the first row in the ` +
          "same round. Core shares: of the server and of the load; a server below 90 % was held up by others or by the load.",
        columns: ["server", "body, B", "CPU us a request", "x CPU", "requests/s", "x requests/s", "core shares, %"],
        rows: measured.map((system) => [
          system.name,
          String(system.bodyBytes),
          format(system.cpuUs, 1),
          format(system.cpuRatio, 2),
          format(system.requestsPerSecond, 0),
          format(system.throughputRatio, 2),
          `${percent(system.serverShare)}, ${percent(system.generatorShare)}`,
        ]),
      },
    ],
    goals: [],
    data: { systems: measured, samples },
  };
}

function perSecond({ requests, wallMs }: RequestSample): number {
  return (requests * 1_000) / wallMs;
}

function cpuUsEach({ serverCpuMs, requests }: RequestSample): number {
  return (serverCpuMs * 1_000) / requests;
}

function format({ min, median, max }: Summary, digits: number): string {
  return `${median.toFixed(digits)} (${min.toFixed(digits)} to ${max.toFixed(digits)})`;
}

function percent({ median }: Summary): string {
  return (100 * median).toFixed(0);
}

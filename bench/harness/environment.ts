import { availableParallelism, cpus, loadavg } from "node:os";
import process from "node:process";

/** Where and when figures were measured: they mean little without it. */
export interface MeasuringEnvironment {
  readonly measuredAt: string;
  readonly node: string;
  readonly processor: string;
  readonly cores: number;
  /** Processes that wanted a core in the minute before, on average; from 0.5 upwards others were running. */
  readonly loadBefore: number;
}

/** Describes this machine as it is now. */
export function describeEnvironment(): MeasuringEnvironment {
  return {
    measuredAt: new Date().toISOString(),
    node: process.version,
    processor: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(2)),
  };
}

/** The environment in a sentence or two, with a warning when the machine was shared. */
export function renderEnvironment(environment: MeasuringEnvironment): string {
  const { measuredAt, node, processor, cores, loadBefore } = environment;
  const where = `${measuredAt.slice(0, 10)}, Node ${node}, ${processor}, ${cores} cores, load average ${loadBefore} before.`;
  return loadBefore < 0.5
    ? where
    : `${where} Other programs were running: read CPU time and ratios, not requests per second.`;
}

import { join } from "node:path";
import { measureSteps, medianNs, runWorker, tableOfSteps, workerRuntimes } from "./harness/measure-steps.ts";
import { measureStores, tableOfStores } from "./harness/measure-stores.ts";
import type { BenchmarkResult, Goal } from "./harness/result.ts";
import { format, type Summary, summarise } from "./harness/statistics.ts";

const stepsWorker = join(import.meta.dirname, "in-process", "rate-limit-worker.ts");
const memoryWorker = join(import.meta.dirname, "in-process", "rate-limit-memory-worker.ts");
const wholeStep = "three limits, through the limiter";
const emptyStep = "empty loop";
const goalNs = 800;
const goalBytes = 250;
const starts = 3;
const limiters = ["own", "rate-limiter-flexible", "hono-rate-limiter"] as const;

interface MeasuredMemory {
  readonly runtime: string;
  readonly limiter: (typeof limiters)[number];
  readonly bytesPerKey: Summary;
}

/** Compares the cost of three limits and the memory of a key with other limiters, on Node and on Bun. */
export async function measureRateLimits(): Promise<BenchmarkResult> {
  const measured = measureSteps(stepsWorker, starts);
  const memory = measureMemory();
  const stores = await measureStores();
  const caption =
    "CPU nanoseconds a request, in process: median (smallest to largest slice). Every row contains the empty loop. The peers " +
    "decide their three limits one after the other: not all or nothing.";
  return {
    tables: [
      tableOfSteps(measured, caption),
      tableOfStores(stores),
      {
        caption:
          "Bytes for each of 100,000 active keys with one limit each, with the keys themselves: median (smallest to largest of " +
          `${starts} starts). On Node heap and buffers after a collection; on Bun, which does not tell them apart, all pages of the process.`,
        columns: ["limiter", ...workerRuntimes().map(({ name }) => name)],
        rows: limiters.map((limiter) => [
          limiter === "own" ? "the memory store" : limiter,
          ...memory.filter((row) => row.limiter === limiter).map(({ bytesPerKey }) => format(bytesPerKey, 0)),
        ]),
      },
    ],
    goals: [
      ...measured.map((runtime) => costGoal(runtime.name, medianNs(runtime, wholeStep, emptyStep))),
      ...memoryGoals(memory),
    ],
    data: { steps: measured, memory, stores },
  };
}

function measureMemory(): readonly MeasuredMemory[] {
  return workerRuntimes().flatMap((runtime) =>
    limiters.map((limiter) => {
      const samples = Array.from(
        { length: starts },
        () => runWorker<{ readonly bytesPerKey: number }>(runtime, memoryWorker, [limiter]).bytesPerKey,
      );
      return { runtime: runtime.name, limiter, bytesPerKey: summarise(samples) };
    }),
  );
}

function costGoal(runtime: string, ns: number): Goal {
  return {
    goal: `three limits together cost at most ${goalNs / 1_000} us CPU on ${runtime}`,
    shown: `${(ns / 1_000).toFixed(2)} us without the loop`,
    met: ns <= goalNs,
  };
}

function memoryGoals(memory: readonly MeasuredMemory[]): readonly Goal[] {
  return memory
    .filter(({ runtime, limiter }) => runtime === "Node" && limiter === "own")
    .map(({ bytesPerKey: { median } }) => ({
      goal: `100,000 active keys take at most ${goalBytes / 10} MB on Node`,
      shown: `${(median / 10).toFixed(1)} MB`,
      met: median <= goalBytes,
    }));
}

import { join } from "node:path";
import type { VerifiedKeys } from "./in-process/verified-keys-worker.ts";
import { runWorker, workerRuntimes } from "./harness/measure-steps.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { type Summary, summarise } from "./harness/statistics.ts";

const worker = join(import.meta.dirname, "in-process", "verified-keys-worker.ts");
const counts = [1_000, 10_000, 20_000, 50_000, 100_000];
/** A check of one of 100,000 keys may cost as much as this many of one of 1,000: more of the memory is out of the processor's caches. */
const goalRatio = 4;
const goalKeys = 100_000;

interface Measured extends VerifiedKeys {
  readonly runtime: string;
  readonly cost: Summary;
}

/** How the cost of a key check grows with the number of keys that are in use. */
export function measureVerifiedKeys(): BenchmarkResult {
  const measured = workerRuntimes().flatMap((runtime) =>
    counts.map((count): Measured => {
      const output = runWorker<VerifiedKeys>(runtime, worker, [String(count)]);
      return { ...output, runtime: runtime.name, cost: summarise(output.ns) };
    }),
  );
  return {
    tables: [
      {
        caption:
          "CPU microseconds of a key check in random order, median (smallest to largest slice), the share of the checks that had to " +
          "look the key up, and the memory of a verified key.",
        columns: ["runtime", "keys in use", "a check", "looked up", "bytes a key"],
        rows: measured.map(({ runtime, keyCount, cost, ns, lookedUp, bytesPerKey }) => [
          runtime,
          keyCount.toLocaleString("en"),
          `${micros(cost.median)} (${micros(cost.min)} to ${micros(cost.max)})`,
          `${((100 * lookedUp) / (ns.length * 20_000)).toFixed(1)} %`,
          bytesPerKey.toFixed(0),
        ]),
      },
    ],
    goals: workerRuntimes().map(({ name }) => {
      const costOf = (count: number): number =>
        measured.find(({ runtime, keyCount }) => runtime === name && keyCount === count)?.cost.median ?? Number.NaN;
      const ratio = costOf(goalKeys) / costOf(1_000);
      return {
        goal: `a check of one of 100,000 keys costs at most ${goalRatio} times one of 1,000 on ${name}`,
        shown: `${ratio.toFixed(1)} times`,
        met: ratio <= goalRatio,
      };
    }),
    data: measured,
  };
}

function micros(ns: number): string {
  return (ns / 1_000).toFixed(2);
}

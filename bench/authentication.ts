import { join } from "node:path";
import { measureSteps, medianNs, tableOfSteps } from "./harness/measure-steps.ts";
import type { BenchmarkResult } from "./harness/result.ts";

const worker = join(import.meta.dirname, "in-process", "authentication-worker.ts");
const wholeStep = "authentication and authorisation, warm key";
const emptyStep = "empty loop";
const goalNs = 1_200;
const starts = 3;

/** Measures the authentication and authorisation of a cached key in process, on Node and on Bun. */
export function measureAuthentication(): BenchmarkResult {
  const measured = measureSteps(worker, starts);
  const caption =
    "CPU nanoseconds a call, in process: median (smallest to largest slice). Every row contains the empty loop; " +
    "steps overlap and are not a sum.";
  return {
    tables: [tableOfSteps(measured, caption)],
    goals: measured.map((runtime) => {
      const ns = medianNs(runtime, wholeStep, emptyStep);
      return {
        goal: `a warm key costs at most ${goalNs / 1_000} us CPU on ${runtime.name}`,
        shown: `${(ns / 1_000).toFixed(2)} us without the loop`,
        met: ns <= goalNs,
      };
    }),
    data: measured,
  };
}

import { join } from "node:path";
import { measureSteps, medianNs, runWorker, tableOfSteps, workerRuntimes } from "./harness/measure-steps.ts";
import type { BenchmarkResult, Goal, Table } from "./harness/result.ts";
import { format, type Summary, summarise } from "./harness/statistics.ts";

const stepsWorker = join(import.meta.dirname, "in-process", "cache-worker.ts");
const memoryWorker = join(import.meta.dirname, "in-process", "cache-memory-worker.ts");
const evictionWorker = join(import.meta.dirname, "in-process", "eviction-worker.ts");
const wholeStep = "a hit of 0.8 KB: found, checked, prepared";
const emptyStep = "empty loop";
const goalNs = 1_000;
const goalBytes = 1_600;
const starts = 3;

interface MeasuredMemory {
  readonly runtime: string;
  readonly bytesPerAnswer: Summary;
}

interface EvictionRow {
  readonly trace: string;
  readonly capacity: number;
  readonly hitRatios: readonly { readonly policy: string; readonly ratio: number }[];
}

/** Measures a hit of the HTTP cache, the memory of a response, and the hit ratio of its eviction. */
export function measureCache(): BenchmarkResult {
  const measured = measureSteps(stepsWorker, starts);
  const memory = measureMemory();
  const eviction = measureEviction();
  const caption =
    "CPU nanoseconds a request, in process: median (smallest to largest slice). Every row contains the empty loop; steps overlap and " +
    "are not a sum.";
  return {
    tables: [tableOfSteps(measured, caption), tableOfMemory(memory), tableOfEviction(eviction)],
    goals: [
      ...measured.map((runtime) => compareCost(runtime.name, medianNs(runtime, wholeStep, emptyStep))),
      ...compareMemory(memory),
    ],
    data: { steps: measured, memory, eviction },
  };
}

function measureMemory(): readonly MeasuredMemory[] {
  return workerRuntimes().map((runtime) => {
    const samples = Array.from(
      { length: starts },
      () => runWorker<{ readonly bytesPerAnswer: number }>(runtime, memoryWorker).bytesPerAnswer,
    );
    return { runtime: runtime.name, bytesPerAnswer: summarise(samples) };
  });
}

/** The traces have a seed, so one runtime and one run tell all. */
function measureEviction(): readonly EvictionRow[] {
  const [node] = workerRuntimes();
  return node === undefined ? [] : runWorker<readonly EvictionRow[]>(node, evictionWorker);
}

function tableOfMemory(memory: readonly MeasuredMemory[]): Table {
  return {
    caption:
      `Bytes for each of 100,000 responses of 0.8 KB, with keys and fields: median (smallest to largest of ${starts} starts). On Node heap ` +
      "and buffers after a collection; on Bun, which does not tell them apart, all pages of the process.",
    columns: ["store", ...memory.map(({ runtime }) => runtime)],
    rows: [["the memory store", ...memory.map(({ bytesPerAnswer }) => format(bytesPerAnswer, 0))]],
  };
}

function tableOfEviction(rows: readonly EvictionRow[]): Table {
  return {
    caption: "Share of 400,000 requests that are hits, %; 50,000 keys.",
    columns: ["trace", "entries", ...(rows[0]?.hitRatios ?? []).map(({ policy }) => policy)],
    rows: rows.map(({ trace, capacity, hitRatios }) => [
      trace,
      String(capacity),
      ...hitRatios.map(({ ratio }) => (ratio * 100).toFixed(1)),
    ]),
  };
}

function compareCost(runtime: string, ns: number): Goal {
  return {
    goal: `a hit of 0.8 KB costs at most ${goalNs / 1_000} us CPU on ${runtime}`,
    shown: `${(ns / 1_000).toFixed(2)} us without the loop`,
    met: ns <= goalNs,
  };
}

function compareMemory(memory: readonly MeasuredMemory[]): readonly Goal[] {
  return memory
    .filter(({ runtime }) => runtime === "Node")
    .map(({ bytesPerAnswer: { median } }) => ({
      goal: `100,000 responses of 0.8 KB take at most ${goalBytes / 10} MB on Node`,
      shown: `${(median / 10).toFixed(1)} MB`,
      met: median <= goalBytes,
    }));
}

import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pinned } from "./harness/pin.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { type Summary, summarise } from "./harness/statistics.ts";

const worker = join(import.meta.dirname, "in-process", "authentication-worker.ts");
const bun = join(import.meta.dirname, "node_modules", "bun", "bin", "bun.exe");
const wholeStep = "authentication and authorisation, warm key";
const emptyStep = "empty loop";
const goalNs = 1_200;
/** The engines settle differently from start to start, so each runs several times, in turn. */
const starts = 3;

interface WorkerOutput {
  readonly version: string;
  readonly samples: readonly (readonly [string, readonly number[]])[];
}

/** What it costs, in process, to know a key that was seen before and to judge what it may do; on Node and on Bun. */
export function measureAuthentication(): BenchmarkResult {
  const runtimes = [
    { name: "Node", command: process.execPath, words: ["--disable-warning=ExperimentalWarning"] },
    { name: "Bun", command: bun, words: [] },
  ].filter(({ command }) => existsSync(command));
  const outputs = Array.from({ length: starts }, () =>
    runtimes.map(({ name, command, words }) => ({ name, ...runWorker(command, [...words, worker]) })),
  ).flat();

  const measured = runtimes.map(({ name }) => {
    const ofRuntime = outputs.filter((output) => output.name === name);
    const version = ofRuntime[0]?.version.replace(/^v/, "") ?? "";
    const steps = (ofRuntime[0]?.samples ?? []).map(([step]) => {
      const samples = ofRuntime.flatMap((output) => output.samples.find(([other]) => other === step)?.[1] ?? []);
      return { step, ns: summarise(samples), samples };
    });
    return { name: `${name} ${version}`, steps };
  });

  return {
    tables: [
      {
        caption:
          "CPU nanoseconds a call, in process: median (smallest to largest slice). Every row contains the empty loop; " +
          "steps overlap and are not a sum.",
        columns: ["step", ...measured.map(({ name }) => name)],
        rows: (measured[0]?.steps ?? []).map(({ step }) => [
          step,
          ...measured.map(({ steps }) => formatNs(steps.find((other) => other.step === step)?.ns)),
        ]),
      },
    ],
    goals: measured.map(({ name, steps }) => {
      const medianOf = (step: string): number => steps.find((other) => other.step === step)?.ns.median ?? Number.NaN;
      const ns = medianOf(wholeStep) - medianOf(emptyStep);
      return {
        goal: `a warm key costs at most ${goalNs / 1_000} us CPU on ${name}`,
        shown: `${(ns / 1_000).toFixed(2)} us without the loop`,
        met: ns <= goalNs,
      };
    }),
    data: measured,
  };
}

function runWorker(command: string, words: readonly string[]): WorkerOutput {
  const [file, fileWords] = pinned(0, command, words);
  return JSON.parse(execFileSync(file, fileWords, { encoding: "utf8", timeout: 120_000 })) as WorkerOutput;
}

function formatNs(ns: Summary | undefined): string {
  if (ns === undefined) return "-";
  return `${ns.median.toFixed(0)} (${ns.min.toFixed(0)} to ${ns.max.toFixed(0)})`;
}

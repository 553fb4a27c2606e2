import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pinned } from "./pin.ts";
import type { Table } from "./result.ts";
import { format, type Summary, summarise } from "./statistics.ts";

const bun = join(import.meta.dirname, "..", "node_modules", "bun", "bin", "bun.exe");

/** A runtime that workers run on. */
export interface WorkerRuntime {
  readonly name: string;
  readonly command: string;
  readonly words: readonly string[];
}

/** Nanoseconds a call of each step, on one runtime. */
export interface MeasuredSteps {
  /** With its version. */
  readonly name: string;
  readonly steps: readonly { readonly step: string; readonly ns: Summary; readonly samples: readonly number[] }[];
}

interface StepsOutput {
  readonly version: string;
  readonly samples: readonly (readonly [string, readonly number[]])[];
}

/** Node, and Bun where it is installed. */
export function workerRuntimes(): readonly WorkerRuntime[] {
  return [
    { name: "Node", command: process.execPath, words: ["--disable-warning=ExperimentalWarning", "--expose-gc"] },
    { name: "Bun", command: bun, words: [] },
  ].filter(({ command }) => existsSync(command));
}

/** Runs a worker on one core alone and reads the JSON that it prints. */
export function runWorker<Output>(runtime: WorkerRuntime, worker: string, words: readonly string[] = []): Output {
  const [file, fileWords] = pinned(0, runtime.command, [...runtime.words, worker, ...words]);
  return JSON.parse(execFileSync(file, fileWords, { encoding: "utf8", timeout: 120_000 })) as Output;
}

/** Runs a worker that measures steps several times on each runtime, in turn: the engines settle differently from start to start. */
export function measureSteps(worker: string, starts: number): readonly MeasuredSteps[] {
  const runtimes = workerRuntimes();
  const outputs = Array.from({ length: starts }, () =>
    runtimes.map((runtime) => ({ name: runtime.name, ...runWorker<StepsOutput>(runtime, worker) })),
  ).flat();
  return runtimes.map(({ name }) => {
    const ofRuntime = outputs.filter((output) => output.name === name);
    const version = ofRuntime[0]?.version.replace(/^v/, "") ?? "";
    const steps = (ofRuntime[0]?.samples ?? []).map(([step]) => {
      const samples = ofRuntime.flatMap((output) => output.samples.find(([other]) => other === step)?.[1] ?? []);
      return { step, ns: summarise(samples), samples };
    });
    return { name: `${name} ${version}`, steps };
  });
}

/** Median of a step in nanoseconds, less that of another one (the empty loop); NaN when there is no such step. */
export function medianNs({ steps }: MeasuredSteps, step: string, less: string): number {
  const medianOf = (name: string): number => steps.find((other) => other.step === name)?.ns.median ?? Number.NaN;
  return medianOf(step) - medianOf(less);
}

/** A table of steps by runtime. */
export function tableOfSteps(measured: readonly MeasuredSteps[], caption: string): Table {
  return {
    caption,
    columns: ["step", ...measured.map(({ name }) => name)],
    rows: (measured[0]?.steps ?? []).map(({ step }) => [
      step,
      ...measured.map(({ steps }) => format(steps.find((other) => other.step === step)?.ns, 0)),
    ]),
  };
}

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canLaunchValkey, launchValkey } from "../../packages/testkit/src/valkey.ts";
import { runWorker, workerRuntimes } from "./measure-steps.ts";
import type { Table } from "./result.ts";
import { format, type Summary, summarise } from "./statistics.ts";

const worker = join(import.meta.dirname, "..", "in-process", "rate-limit-stores-worker.ts");
const starts = 3;

type StoreSamples = readonly (readonly [string, readonly { readonly cpuUs: number; readonly wallUs: number }[]])[];

/** The cost of three limits of a request in a store, in microseconds. */
export interface MeasuredStore {
  readonly store: string;
  readonly cpuUs: Summary;
  readonly wallUs: Summary;
}

/** Measures the stores that are shared, on Node: SQLite, and Valkey where a server is on the PATH. */
export async function measureStores(): Promise<readonly MeasuredStore[]> {
  const [node] = workerRuntimes();
  if (node === undefined) return [];
  const valkey = canLaunchValkey() ? await launchValkey() : null;
  const folder = mkdtempSync(join(tmpdir(), "letta-bench-limits-"));
  try {
    const runs = Array.from({ length: starts }, () =>
      runWorker<StoreSamples>(node, worker, [folder, ...(valkey === null ? [] : [valkey.url])]),
    ).flat();
    return [...new Set(runs.map(([store]) => store))].map((store) => {
      const samples = runs.filter(([name]) => name === store).flatMap(([, of]) => of);
      return {
        store,
        cpuUs: summarise(samples.map(({ cpuUs }) => cpuUs)),
        wallUs: summarise(samples.map(({ wallUs }) => wallUs)),
      };
    });
  } finally {
    await valkey?.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A table of stores. */
export function tableOfStores(measured: readonly MeasuredStore[]): Table {
  const hasValkey = measured.some(({ store }) => store.startsWith("Valkey"));
  return {
    caption:
      "Three limits of a request in the shared stores, on Node: median (smallest to largest slice). CPU is that of the gateway's " +
      `process alone; Valkey runs on the same machine.${hasValkey ? "" : " No valkey-server is on the PATH here."}`,
    columns: ["store", "CPU us a request", "us a request in all", "requests/s"],
    rows: measured.map(({ store, cpuUs, wallUs }) => [
      store,
      format(cpuUs, 1),
      format(wallUs, 1),
      (1_000_000 / wallUs.median).toFixed(0),
    ]),
  };
}

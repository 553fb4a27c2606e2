import { setTimeout as delay } from "node:timers/promises";
import { runtimeVersion } from "../../apps/proxy/test/runtimes/runtime-commands.ts";
import { residentBytes } from "../harness/proc.ts";
import type { BenchmarkResult, Table } from "../harness/result.ts";
import { requestOf } from "./loads.ts";
import { runLoad } from "./run-load.ts";
import { startGateway } from "./servers/start-gateway.ts";
import { startOrigin } from "./servers/start-origin.ts";
import { atMost } from "./targets.ts";

const responses = 100_000;
const settleMs = 5_000;
/** The first responses expire after a minute. */
const longestFillSeconds = 50;
const config = { cache: { maxBytes: 1_073_741_824, maxEntries: 2 * responses } };
/** Largest memory of the process, in MB. */
const goals = { node: 250, bun: 190 } as const;

/** The memory of a gateway's process. */
export interface MeasuredMemory {
  readonly runtime: keyof typeof goals;
  readonly idleMb: number;
  readonly filledMb: number;
  /** Fewer than all on a machine that is too slow to store them before the first expire. */
  readonly stored: number;
}

/** Measures a gateway's process before and after it has stored 100,000 responses of 0.8 KB. */
export async function measureMemory(runtime: keyof typeof goals): Promise<MeasuredMemory> {
  const origin = await startOrigin();
  const gateway = await startGateway(runtime, { origin: origin.url, data: "memory", config });
  try {
    const port = gateway.portOf("miss-one");
    const key = gateway.key ?? "";
    const idleMb = residentBytes(gateway.pid) / 1e6;
    const { requests } = await runLoad(requestOf("miss-one", key), {
      port,
      connections: 64,
      seconds: longestFillSeconds,
      maxRequests: responses,
    });
    await delay(settleMs);
    const filledMb = residentBytes(gateway.pid) / 1e6;
    return { runtime, idleMb, filledMb, stored: requests };
  } finally {
    await Promise.allSettled([gateway.stop(), origin.stop()]);
  }
}

/** The table and the goals of the memory. */
export function summariseMemory(measured: readonly MeasuredMemory[]): BenchmarkResult {
  const table: Table = {
    caption: `**Memory** of the process: resident MB after the start, and with cached responses of 0.8 KB, ${settleMs / 1_000} s after the last.`,
    columns: ["gateway", "after the start", "with responses", "responses"],
    rows: measured.map(({ runtime, idleMb, filledMb, stored }) => [
      `${runtime} ${runtimeVersion(runtime)}`,
      idleMb.toFixed(0),
      filledMb.toFixed(0),
      String(stored),
    ]),
  };
  const reached = measured.filter(({ stored }) => stored >= responses);
  return {
    tables: [table],
    goals: reached.flatMap(({ runtime, filledMb }) =>
      atMost(`100,000 cached responses of 0.8 KB on ${runtime}, MB`, filledMb, goals[runtime]),
    ),
    data: measured,
  };
}

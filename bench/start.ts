import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProcess } from "../packages/testkit/src/launch-process.ts";
import { installGateway, runtimeVersion, type ServerRuntime } from "../apps/proxy/test/runtimes/runtime-commands.ts";
import { firstAnswer, freePort } from "./harness/first-answer.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { type Summary, summarise } from "./harness/statistics.ts";

const starts = 15;
/** Goals of the reference figures in milliseconds; a machine that others use is slower. */
const goalsMs: Readonly<Record<ServerRuntime, number>> = { node: 250, bun: 250, deno: 250 };

interface Measured {
  readonly runtime: string;
  readonly startMs: Summary;
}

/** How long after its process was started the built gateway, with the embedded server and SQLite, gives its first 200. */
export async function measureStart(): Promise<BenchmarkResult> {
  const runtimes: readonly ServerRuntime[] = ["node", "bun", "deno"];
  const times = new Map(runtimes.map((runtime) => [runtime, [] as number[]]));
  const folder = mkdtempSync(join(tmpdir(), "letta-bench-start-"));
  try {
    // The first round makes data directories and is not counted; rounds interleave the runtimes.
    for (let round = 0; round <= starts; round++) {
      for (const runtime of runtimes) {
        const ms = await startOnce(runtime, folder);
        if (round > 0) times.get(runtime)?.push(ms);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const measured = runtimes.map((runtime): Measured => ({
    runtime: `${runtime} ${runtimeVersion(runtime)}`,
    startMs: summarise(times.get(runtime) ?? []),
  }));
  return {
    tables: [
      {
        caption: `Milliseconds from the start of the process to the first 200 of /livez, ${starts} starts each with an existing data directory: median (smallest to largest).`,
        columns: ["runtime", "start to first 200"],
        rows: measured.map(({ runtime, startMs: { median, min, max } }) => [
          runtime,
          `${median.toFixed(0)} (${min.toFixed(0)} to ${max.toFixed(0)})`,
        ]),
      },
    ],
    goals: runtimes.map((runtime, index) => {
      const median = measured[index]?.startMs.median ?? Infinity;
      const goal = goalsMs[runtime];
      return {
        goal: `the built gateway answers within ${goal} ms on ${runtime}`,
        shown: `${median.toFixed(0)} ms`,
        met: median <= goal,
      };
    }),
    data: measured,
  };
}

async function startOnce(runtime: ServerRuntime, folder: string): Promise<number> {
  const [command, ...words] = installGateway(runtime, folder);
  const port = await freePort();
  const args = [...words, "start", "--port", String(port), "--log", "json", "--data-dir", `data-${runtime}`];
  const startedAt = performance.now();
  const gateway = launchProcess({ command, args, cwd: folder, env: { HOME: folder } });
  try {
    await firstAnswer(port, "/livez");
    return performance.now() - startedAt;
  } finally {
    await gateway.stop();
  }
}

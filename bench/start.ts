import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launchProcess } from "../packages/testkit/src/process.ts";
import { runtimeVersion, type ServerRuntime } from "../apps/proxy/test/runtimes/runtime-commands.ts";
import { createWorkerdLauncher } from "../apps/proxy/test/runtimes/workerd-launcher.ts";
import { firstAnswer, freePort } from "./harness/first-answer.ts";
import { installVariant } from "./gateway/servers/start-gateway.ts";
import { atMost } from "./gateway/targets.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { format, type Summary, summarise } from "./harness/statistics.ts";

const starts = 15;
const servers: readonly ServerRuntime[] = ["node", "bun", "deno"];
/** Longest start, in milliseconds. */
const goalsMs: Readonly<Record<ServerRuntime, number>> = { node: 80, bun: 40, deno: 500 };

interface Measured {
  readonly runtime: string;
  readonly startMs: Summary;
}

/**
 * How long after its process was started the built gateway gives its first 200: on Node, Bun and Deno with the embedded server and SQLite, and the
 * Worker in workerd, where wrangler's own work on the way is counted too.
 */
export async function measureStart(): Promise<BenchmarkResult> {
  const workerd = createWorkerdLauncher();
  const systems: readonly System[] = [
    ...servers.map((name): System => ({
      runtime: `${name} ${runtimeVersion(name)}`,
      start: (folder) => startServer(name, folder),
    })),
    { runtime: `workerd ${workerd.version}, through wrangler`, start: () => startWorker(workerd) },
  ];
  const times = new Map(systems.map(({ runtime }) => [runtime, [] as number[]]));
  const folder = mkdtempSync(join(tmpdir(), "letta-bench-start-"));
  try {
    // The first round makes data directories and loads wrangler, and is not counted; rounds interleave the runtimes.
    for (let round = 0; round <= starts; round++) {
      for (const { runtime, start } of systems) {
        const ms = await start(folder);
        if (round > 0) times.get(runtime)?.push(ms);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const measured = systems.map(({ runtime }): Measured => ({ runtime, startMs: summarise(times.get(runtime) ?? []) }));
  return {
    tables: [
      {
        caption: `**Start**: milliseconds from the start to the first 200 of /livez, ${starts} starts each with an existing data directory: median (smallest to largest).`,
        columns: ["runtime", "start to first 200"],
        rows: measured.map(({ runtime, startMs }) => [runtime, format(startMs, 0)]),
      },
    ],
    goals: servers.flatMap((runtime) => {
      const median = measured.find((candidate) => candidate.runtime.startsWith(runtime))?.startMs.median;
      return atMost(`start of the built gateway on ${runtime}, ms`, median, goalsMs[runtime]);
    }),
    data: measured,
  };
}

interface System {
  readonly runtime: string;
  /** Starts it, waits for its first 200, stops it, and resolves with how long the first two took, in milliseconds. */
  start(folder: string): Promise<number>;
}

async function startWorker(workerd: ReturnType<typeof createWorkerdLauncher>): Promise<number> {
  const startedAt = performance.now();
  const gateway = await workerd.launch({ config: {}, environment: { UPSTREAM_URL: "https://upstream.example" } });
  try {
    await firstAnswer(Number(new URL(gateway.url).port), "/livez");
    return performance.now() - startedAt;
  } finally {
    await gateway.stop();
  }
}

/** Starts the gateway in a folder, waits for its first 200, stops it, and resolves with how long the first two took, in milliseconds. */
export async function startServer(
  runtime: ServerRuntime,
  folder: string,
  variant: Parameters<typeof installVariant>[2] = {},
): Promise<number> {
  const [command, ...words] = await installVariant(runtime, folder, variant);
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

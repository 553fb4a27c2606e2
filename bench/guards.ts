import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { appFolder } from "../apps/proxy/test/runtimes/workerd-launcher.ts";
import { runtimeProgram, runtimeVersion, type ServerRuntime } from "../apps/proxy/test/runtimes/runtime-commands.ts";
import { launchProcess } from "../packages/testkit/src/process.ts";
import { firstAnswer, freePort } from "./harness/first-answer.ts";
import type { BenchmarkResult } from "./harness/result.ts";

const goalsUs = { guard: 3, mismatch: Infinity, drift: 12, newer: Infinity, alternating: Infinity } as const;
type Step = keyof typeof goalsUs;
const steps: readonly Step[] = ["guard", "mismatch", "drift", "newer", "alternating"];
const samples = 40;
const calls = 1_000;

type Measured = Readonly<Record<Step, number>>;

/** Measures the generated guards and drift finders on a parsed list of 100 connections, on every runtime. */
export async function measureGuards(): Promise<BenchmarkResult> {
  const folder = mkdtempSync(join(tmpdir(), "letta-bench-guards-"));
  const measured: (readonly [name: string, us: Measured])[] = [];
  try {
    await bundle(join(folder, "worker.mjs"), timedEntry);
    for (const runtime of ["node", "bun", "deno"] as const) {
      measured.push([`${runtime} ${runtimeVersion(runtime)}`, runTimed(runtime, folder)]);
    }
    measured.push(["workerd", await measureWorkerd(folder)]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return {
    tables: [
      {
        caption: `Microseconds a call, smallest of ${samples} samples of ${calls} calls. On workerd, whose clock does not advance during a request: the time of requests minus that of an empty one.`,
        columns: [
          "runtime",
          "guard",
          "path of a mismatch, if any",
          "guard and drift",
          "... rows with three newer members",
          "... rows of two shapes in turn",
        ],
        rows: measured.map(([name, us]) => [name, ...steps.map((step) => us[step].toFixed(2))]),
      },
    ],
    goals: measured.flatMap(([name, us]) =>
      (["guard", "drift"] as const).map((step) => ({
        goal: `${step === "guard" ? "the guard" : "guard and drift"} within ${goalsUs[step]} us on ${name}`,
        shown: `${us[step].toFixed(2)} us`,
        met: us[step] <= goalsUs[step],
      })),
    ),
    data: measured,
  };
}

const timedEntry = `import { runStep } from "./in-process/guard-worker.ts";
const result = {};
for (const step of ${JSON.stringify(steps)}) {
  result[step] = Infinity;
  for (let sample = 0; sample < ${samples}; sample++) {
    const start = performance.now();
    runStep(step, ${calls});
    result[step] = Math.min(result[step], (performance.now() - start) * 1_000 / ${calls});
  }
}
console.log(JSON.stringify(result));`;

const workerdEntry = `import { runStep } from "./in-process/guard-worker.ts";
export default { fetch(request) {
  const { searchParams } = new URL(request.url);
  runStep(searchParams.get("step"), Number(searchParams.get("calls")));
  return new Response("done");
} };`;

async function bundle(outfile: string, contents: string): Promise<void> {
  const stdin = { contents, resolveDir: import.meta.dirname };
  await build({ stdin, bundle: true, minify: true, format: "esm", target: "es2023", outfile });
}

function runTimed(runtime: ServerRuntime, folder: string): Measured {
  const words = runtime === "deno" ? ["run", "--no-config", "worker.mjs"] : ["worker.mjs"];
  return JSON.parse(execFileSync(runtimeProgram(runtime), words, { cwd: folder, encoding: "utf8" })) as Measured;
}

async function measureWorkerd(folder: string): Promise<Measured> {
  await bundle(join(folder, "workerd.js"), workerdEntry);
  const port = await freePort();
  writeFileSync(
    join(folder, "config.capnp"),
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = (modules = [(name = "worker", esModule = embed "workerd.js")], compatibilityDate = "2026-01-01"))],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);`,
  );
  const wrangler = createRequire(createRequire(join(appFolder, "package.json")).resolve("wrangler"));
  const program = join(dirname(wrangler.resolve("workerd/package.json")), "bin", "workerd");
  const url = `http://127.0.0.1:${port}/`;
  const server = launchProcess({ command: program, args: ["serve", "config.capnp"], cwd: folder });
  try {
    await firstAnswer(port, "/?step=guard&calls=1");
    const us: Record<Step, number> = { guard: 0, mismatch: 0, drift: 0, newer: 0, alternating: 0 };
    for (const step of steps) {
      const [empty, full] = [
        await smallestMs(`${url}?step=${step}&calls=0`),
        await smallestMs(`${url}?step=${step}&calls=${calls}`),
      ];
      us[step] = ((full - empty) * 1_000) / calls;
    }
    return us;
  } finally {
    await server.stop();
  }
}

async function smallestMs(url: string): Promise<number> {
  let smallest = Infinity;
  for (let sample = 0; sample < samples; sample++) {
    const start = performance.now();
    await (await fetch(url)).text();
    smallest = Math.min(smallest, performance.now() - start);
  }
  return smallest;
}

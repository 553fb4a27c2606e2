import { join } from "node:path";
import { launchProcess } from "../packages/testkit/src/process.ts";
import { runtimeProgram, runtimeVersion } from "../apps/proxy/test/runtimes/runtime-commands.ts";
import { startControlled } from "./harness/control.ts";
import { measureSlice } from "./harness/measure-slice.ts";
import { cpuUsOfTree } from "./harness/proc.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { format, summarise } from "./harness/statistics.ts";

const rounds = 7;
const sliceMs = 600;
const deno = ["run", "--no-config", "--no-lock", "-A"];

const hosts = [
  { name: `Node, node:http`, program: "node", words: ["hosts/node-http.mjs"] },
  { name: `Bun ${runtimeVersion("bun")}, Bun.serve`, program: "bun", words: ["hosts/bun-serve.mjs"] },
  { name: `Bun ${runtimeVersion("bun")}, node:http`, program: "bun", words: ["hosts/node-http.mjs"] },
  { name: `Deno ${runtimeVersion("deno")}, Deno.serve`, program: "deno", words: [...deno, "hosts/deno-serve.mjs"] },
  { name: `Deno ${runtimeVersion("deno")}, node:http`, program: "deno", words: [...deno, "hosts/node-http.mjs"] },
] as const;

/** Measures a fixed response on each runtime, through its own server and through `node:http`, in CPU time of the whole process. */
export async function measureHosts(): Promise<BenchmarkResult> {
  const generator = startControlled({ entry: join(import.meta.dirname, "harness", "load-generator.ts"), core: 1 });
  const running = await Promise.all(hosts.map(start));
  const cpuUs = new Map(running.map(({ name }) => [name, [] as number[]]));
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const server of running) {
        const sample = await measureSlice(server, generator, sliceMs);
        if (round > 0) cpuUs.get(server.name)?.push(sample.cpuUs);
      }
    }
  } finally {
    for (const { stop } of running) await stop();
    await generator.stop();
  }
  const measured = running.map(({ name }) => ({ name, cpuUs: summarise(cpuUs.get(name) ?? []) }));
  return {
    tables: [
      {
        caption: `CPU microseconds a request for a fixed response of 0.8 KB, all threads of the process, 64 connections, ${rounds} interleaved slices: median (smallest to largest).`,
        columns: ["server", "CPU us a request"],
        rows: measured.map(({ name, cpuUs: used }) => [name, format(used, 1)]),
      },
    ],
    goals: [],
    data: measured,
  };
}

async function start({ name, program, words }: (typeof hosts)[number]) {
  const options = { command: runtimeProgram(program), args: words, cwd: import.meta.dirname };
  const server = launchProcess(options);
  const [, port = ""] = await server.waitForOutput(/listening (\d+)/);
  return {
    name,
    port: Number(port),
    key: "lek_none",
    cpuUs: () => cpuUsOfTree(server.pid),
    stop: () => server.stop("SIGKILL"),
  };
}

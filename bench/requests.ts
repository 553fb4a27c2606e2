import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startControlled } from "./harness/control.ts";
import { connections, measureSlice } from "./harness/measure-slice.ts";
import { pins } from "./harness/pin.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { type RunningSystem, startSystem } from "./harness/start-system.ts";
import { summariseRequests, type RequestSample } from "./harness/summarise-requests.ts";
import { systems } from "./systems/systems.ts";

const rounds = 9;
const sliceMs = 400;
const warmUpMs = 1_000;
const [serverCore, generatorCore] = [0, 1];

/**
 * Requests for one device over keep-alive connections: every server runs all the time, the load goes to one of them after the
 * other in short slices, and each round begins with another server.
 */
export async function measureRequests(): Promise<BenchmarkResult> {
  const dataDir = await mkdtemp(join(tmpdir(), "letta-bench-"));
  const running: RunningSystem[] = [];
  const generator = startControlled({
    entry: join(import.meta.dirname, "harness/load-generator.ts"),
    core: generatorCore,
  });
  try {
    for (const system of systems) running.push(await startSystem(system, serverCore, dataDir));
    for (const server of running) await measureSlice(server, generator, warmUpMs);
    const samples: RequestSample[] = [];
    for (let round = 0; round < rounds; round++) {
      const order = [...running.slice(round % running.length), ...running.slice(0, round % running.length)];
      for (const server of order) {
        samples.push({ round, system: server.system.name, ...(await measureSlice(server, generator, sliceMs)) });
      }
    }
    const setup = `${connections} connections, ${rounds} rounds of ${sliceMs} ms; server and load ${pins() ? "on a core each" : "not pinned"}`;
    return summariseRequests(
      samples,
      running.map(({ system, bodyBytes }) => ({ name: system.name, bodyBytes })),
      setup,
    );
  } finally {
    await Promise.allSettled([generator.stop(), ...running.map((server) => server.stop())]);
    await rm(dataDir, { recursive: true, force: true });
  }
}

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ControlledProcess, startControlled } from "./harness/control.ts";
import type { LoadCommand, LoadReport } from "./harness/load-generator.ts";
import { pins } from "./harness/pin.ts";
import type { BenchmarkResult } from "./harness/result.ts";
import { type RunningSystem, startSystem } from "./harness/start-system.ts";
import { summariseRequests, type RequestSample } from "./harness/summarise-requests.ts";
import { systems } from "./systems/systems.ts";

const connections = 64;
const rounds = 9;
const sliceMs = 400;
const warmUpMs = 1_000;
/** A bound on the number of requests in a slice, whatever the time. */
const maxRequests = 100_000;
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

async function measureSlice(
  server: RunningSystem,
  generator: ControlledProcess,
  durationMs: number,
): Promise<Omit<RequestSample, "round" | "system">> {
  const tell = (command: LoadCommand): Promise<unknown> => generator.ask(command);
  await tell({ kind: "open", port: server.port, request: server.request, connections });
  const before = await server.cpuUs();
  const report = (await tell({ kind: "run", durationMs, maxRequests })) as LoadReport;
  const cpuUs = (await server.cpuUs()) - before;
  await tell({ kind: "close" });
  return { requests: report.requests, wallMs: report.wallMs, serverCpuMs: cpuUs / 1_000, generatorCpuMs: report.cpuMs };
}

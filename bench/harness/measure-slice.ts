import type { ControlledProcess } from "./control.ts";
import type { LoadCommand, LoadReport } from "./load-generator.ts";
import type { RunningSystem } from "./start-system.ts";
import type { RequestSample } from "./summarise-requests.ts";

/** Connections that a slice of load keeps busy. */
export const connections = 64;
/** A bound on the number of requests in a slice, whatever the time. */
const maxRequests = 100_000;

/** Sends load to a server for a while and returns the measured slice. */
export async function measureSlice(
  server: Pick<RunningSystem, "port" | "request" | "cpuUs">,
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

import { devicePath } from "../systems/fixed-answer.ts";
import type { ControlledProcess } from "./control.ts";
import type { LoadCommand, LoadReport } from "./load-generator.ts";

/** Connections that a slice of load keeps busy. */
export const connections = 64;
/** A bound on the number of requests in a slice, whatever the time. */
const maxRequests = 100_000;

/** A server that runs and answers. */
export interface MeasuredServer {
  readonly port: number;
  readonly key: string;
  /** CPU time of its process so far, in microseconds. */
  cpuUs(): number | Promise<number>;
}

/** Sends load to a server for a while and resolves with the requests a second and the server's CPU time for each. */
export async function measureSlice(
  server: MeasuredServer,
  generator: ControlledProcess,
  durationMs: number,
): Promise<{ readonly requestsPerSecond: number; readonly cpuUs: number }> {
  const tell = (command: LoadCommand): Promise<unknown> => generator.ask(command);
  await tell({ kind: "open", port: server.port, request: requestText(server.port, server.key), connections });
  const before = await server.cpuUs();
  const { requests, wallMs } = (await tell({ kind: "run", durationMs, maxRequests })) as LoadReport;
  const cpuUs = (await server.cpuUs()) - before;
  await tell({ kind: "close" });
  return { requestsPerSecond: (requests * 1_000) / wallMs, cpuUs: cpuUs / requests };
}

/** The request as bytes of the wire, the same for every server: those without auth read past the key. */
function requestText(port: number, key: string): string {
  const lines = [
    `GET ${devicePath} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    `Authorization: Bearer ${key}`,
    "Accept: application/json",
    "User-Agent: bench",
  ];
  return `${lines.join("\r\n")}\r\n\r\n`;
}

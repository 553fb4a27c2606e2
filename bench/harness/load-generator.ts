/**
 * The load: a process of its own that keeps a number of connections busy, one request at a time on each (no pipelining). It obeys
 * its parent: `open`, `run` within a time and a number of requests, `close`. Any answer but 200 ends it with an error.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { endOfResponse } from "./end-of-response.ts";

/** Requests of the parent process. */
export type LoadCommand =
  | { readonly kind: "open"; readonly port: number; readonly request: string; readonly connections: number }
  | { readonly kind: "run"; readonly durationMs: number; readonly maxRequests: number }
  | { readonly kind: "close" };

/** The result of a run. */
export interface LoadReport {
  readonly requests: number;
  readonly wallMs: number;
  /** CPU time of the generator itself: where it nears the wall time, the generator was the limit. */
  readonly cpuMs: number;
}

let sockets: Socket[] = [];
let request: Buffer = Buffer.alloc(0);
let answered: (socket: Socket) => void = () => undefined;

async function open(port: number, connections: number): Promise<void> {
  sockets = await Promise.all(Array.from({ length: connections }, () => openOne(port)));
  await run(0, connections);
}

async function openOne(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, noDelay: true });
  await once(socket, "connect");
  let pending: Buffer | null = null;
  socket.on("data", (chunk: Buffer) => {
    const received: Buffer = pending === null ? chunk : Buffer.concat([pending, chunk]);
    const end = endOfResponse(received);
    if (end === null) {
      pending = received;
      return;
    }
    if (end !== received.length) throw new Error("More than one answer to one request.");
    pending = null;
    answered(socket);
  });
  socket.on("close", () => {
    if (sockets.includes(socket)) throw new Error("The server closed a connection.");
  });
  return socket;
}

/** Every connection sends at least one request, and none after the time or the number is up. */
function run(durationMs: number, maxRequests: number): Promise<LoadReport> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const endsAt = startedAt + durationMs;
  let [sent, requests] = [0, 0];
  return new Promise((resolve) => {
    const send = (socket: Socket): void => {
      sent += 1;
      socket.write(request);
    };
    answered = (socket) => {
      requests += 1;
      const now = performance.now();
      if (now < endsAt && sent < maxRequests) return send(socket);
      if (requests < sent) return;
      const { user, system } = process.cpuUsage(cpu);
      resolve({ requests, wallMs: now - startedAt, cpuMs: (user + system) / 1_000 });
    };
    for (const socket of sockets) send(socket);
  });
}

async function close(): Promise<void> {
  const closing = sockets;
  sockets = [];
  await Promise.all(
    closing.map((socket) => {
      const closed = once(socket, "close");
      socket.destroy();
      return closed;
    }),
  );
}

async function obey(command: LoadCommand): Promise<object> {
  switch (command.kind) {
    case "open":
      request = Buffer.from(command.request, "latin1");
      await open(command.port, command.connections);
      return {};
    case "run":
      return run(command.durationMs, command.maxRequests);
    case "close":
      await close();
      return {};
  }
}

process.on("message", (command: LoadCommand) => void obey(command).then((answer) => process.send?.(answer)));
process.on("disconnect", () => process.exit());

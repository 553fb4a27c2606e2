/**
 * The load: a separate process that keeps a number of connections busy, one request at a time on each (no pipelining). It obeys
 * its parent: `open`, `run` within a time and a number of requests, `close`. Any answer but 200 ends it with an error.
 */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import process from "node:process";
import { endOfResponse } from "./end-of-response.ts";
import { quantile } from "./statistics.ts";

/** Requests of the parent process. */
export type LoadCommand =
  | {
      readonly kind: "open";
      readonly port: number;
      /** `{n}` in it becomes a number that counts up from `first`, and `{value}` the next of the values. */
      readonly request: string;
      readonly connections: number;
      readonly first?: number;
      readonly values?: readonly string[];
    }
  | { readonly kind: "run"; readonly durationMs: number; readonly maxRequests: number }
  | { readonly kind: "close" };

/** The result of a run. */
export interface LoadReport {
  readonly requests: number;
  readonly wallMs: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** CPU time of the generator itself: where it nears the wall time, the generator was the limit. */
  readonly cpuMs: number;
}

let sockets: Socket[] = [];
let nextRequest: () => Buffer = () => Buffer.alloc(0);
let answered: (socket: Socket) => void = () => undefined;

function prepareRequests({ request, first = 0, values = [] }: LoadCommand & { readonly kind: "open" }): () => Buffer {
  const bytes = Buffer.from(request, "latin1");
  if (!/\{(?:n|value)\}/.test(request)) return () => bytes;
  let count = first;
  return () => {
    count += 1;
    const value = values[count % values.length] ?? "";
    return Buffer.from(request.replaceAll("{n}", String(count)).replaceAll("{value}", value), "latin1");
  };
}

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
    if (end !== received.length) throw new Error("More than one response to one request.");
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
  const sentAt = new Map<Socket, number>();
  const latenciesMs: number[] = [];
  return new Promise((resolve) => {
    const send = (socket: Socket): void => {
      sent += 1;
      sentAt.set(socket, performance.now());
      socket.write(nextRequest());
    };
    answered = (socket) => {
      requests += 1;
      const now = performance.now();
      latenciesMs.push(now - (sentAt.get(socket) ?? now));
      if (now < endsAt && sent < maxRequests) return send(socket);
      if (requests < sent) return;
      const { user, system } = process.cpuUsage(cpu);
      const [p50Us, p99Us] = [0.5, 0.99].map((fraction) => quantile(latenciesMs, fraction) * 1_000);
      resolve({
        requests,
        wallMs: now - startedAt,
        p50Us: p50Us ?? 0,
        p99Us: p99Us ?? 0,
        cpuMs: (user + system) / 1_000,
      });
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
      nextRequest = prepareRequests(command);
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

import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { ServerTimeouts } from "../http-server.ts";
import type { LaneConnection } from "./connection.ts";

/** The event that a connection waits for. */
type Phase = "head" | "body" | "response" | "next request";

interface Connection {
  readonly socket: Socket;
  /** `null`: handed over. */
  lane: LaneConnection | null;
  /** The latest request of the HTTP server, and how many are in progress. */
  incoming: IncomingMessage | null;
  inProgress: number;
  requests: number;
  /** Bytes that were read when the latest response was complete. What follows is the head of a request. */
  answeredBytes: number;
  /** The event it waited for at the latest check, in which request, and for how many checks. */
  checked: string;
  checks: number;
}

/** Watches the connections of a lane, also those that it handed over: Bun's server has no timeouts for connections that it did not accept. */
export interface ConnectionWatch {
  open(socket: Socket, lane: LaneConnection): void;
  handOver(socket: Socket): void;
  closeIdle(): void;
  closeAll(): void;
  /** Ends the checks. */
  end(): void;
}

/** Creates a {@link ConnectionWatch} that checks at every interval; no clock is read for a request. */
export function watchConnections(server: Server, timeouts: ServerTimeouts): ConnectionWatch {
  const connections = new Map<Socket, Connection>();
  const limitsMs: Readonly<Record<Phase, number>> = {
    head: timeouts.headersMs,
    body: timeouts.requestMs,
    response: Infinity,
    "next request": timeouts.keepAliveMs,
  };

  server.on("request", (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const connection = connections.get(incoming.socket);
    if (connection === undefined) return;
    connection.incoming = incoming;
    connection.inProgress += 1;
    connection.requests += 1;
    outgoing.on("close", () => {
      connection.inProgress -= 1;
      connection.answeredBytes = connection.socket.bytesRead;
    });
  });
  server.on("upgrade", ({ socket }: IncomingMessage) => connections.delete(socket));

  function check(): void {
    for (const connection of connections.values()) {
      const phase = phaseOf(connection);
      const checked = `${phase} ${connection.requests + (connection.lane?.requests() ?? 0)}`;
      connection.checks = checked === connection.checked ? connection.checks + 1 : 0;
      connection.checked = checked;
      if (connection.checks * timeouts.checkIntervalMs < limitsMs[phase]) continue;
      const { socket } = connection;
      if (phase === "next request" || socket.writableEnded) socket.destroy();
      else server.emit("clientError", timedOut, socket);
    }
  }

  const timer = setInterval(check, timeouts.checkIntervalMs).unref();
  return {
    open(socket, lane) {
      connections.set(socket, { ...unused, socket, lane });
      socket.once("close", () => connections.delete(socket));
    },
    handOver(socket) {
      const connection = connections.get(socket);
      if (connection !== undefined) connection.lane = null;
    },
    closeIdle() {
      for (const connection of connections.values()) {
        const phase = phaseOf(connection);
        if (phase === "next request" || (phase === "head" && connection.lane !== null)) connection.socket.destroy();
      }
    },
    closeAll() {
      for (const { socket } of connections.values()) socket.destroy();
    },
    end: () => clearInterval(timer),
  };
}

const unused = { incoming: null, inProgress: 0, requests: 0, answeredBytes: 0, checked: "", checks: 0 };
const timedOut = Object.assign(new Error("The request did not arrive in time."), { code: "ERR_HTTP_REQUEST_TIMEOUT" });

function phaseOf({ socket, lane, incoming, inProgress, answeredBytes }: Connection): Phase {
  if (lane !== null) return lane.isBusy() ? "response" : lane.requests() === 0 ? "head" : "next request";
  if (incoming?.complete === false) return "body";
  if (inProgress > 0) return "response";
  return socket.bytesRead > answeredBytes ? "head" : "next request";
}

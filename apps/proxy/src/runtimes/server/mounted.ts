/** The gateway below a path of another program's HTTP server: its requests in progress, and the sockets of devices and viewers. */
import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import { randomId } from "@letta-environments/platform/node";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { DrainingServer } from "../../host/node/drain.ts";
import { writeRawResponse } from "../../host/node/http-server.ts";
import { serveWebSockets } from "../../host/node/web-sockets.ts";
import { finishResponse, noSocketHere } from "../../http/response.ts";
import type { Pipeline } from "../../pipeline.ts";

/** A server of `node:http` or `node:https`. */
export interface SocketServer {
  on(event: "upgrade", listener: (...facts: unknown[]) => void): unknown;
  listenerCount(event: "upgrade"): number;
}

/** The part of the gateway that is below a path. */
export interface MountedPart extends DrainingServer {
  /** Counts a request until its response is ready. */
  count<Result>(run: () => Promise<Result>): Promise<Result>;
  /** Serves the sockets of devices and viewers on a server. */
  serveSockets(server: SocketServer): void;
}

/** The options of {@link createMountedPart}. */
export interface MountedPartOptions {
  /** The path without a slash at its end; empty: the root. */
  readonly prefix: string;
  /** How many sockets there may be. */
  readonly maxSockets: number;
  readonly onFailure: (cause: unknown) => void;
}

/** Creates a {@link MountedPart}. */
export function createMountedPart(
  pipeline: Pick<Pipeline, "upgrade" | "refuse">,
  { prefix, maxSockets, onFailure }: MountedPartOptions,
): MountedPart {
  const sockets = new Set<Duplex>();
  let inProgress = 0;
  let isClosing = false;
  let onIdle = (): void => undefined;

  /** Returns whether an upgrade is below the path, and strips the path from its URL. */
  function stripPrefix(incoming: IncomingMessage): boolean {
    if (prefix === "") return true;
    const url = incoming.url ?? "";
    if (!url.startsWith(`${prefix}/`)) return false;
    incoming.url = url.slice(prefix.length);
    return true;
  }

  /** Responds to an upgrade here, before anything of the gateway sees it. */
  function refuse(socket: Duplex, response: PlainResponse): false {
    socket.on("error", () => socket.destroy());
    writeRawResponse(socket, finishResponse(response, randomId("req"), "GET"));
    return false;
  }

  return {
    async count(run) {
      inProgress += 1;
      try {
        return await run();
      } finally {
        inProgress -= 1;
        if (inProgress === 0) onIdle();
      }
    },
    serveSockets(server: Server) {
      serveWebSockets(server, pipeline, {
        randomId,
        onFailure,
        admission: { hasRoomForDevices: () => sockets.size <= maxSockets },
        isOwn(incoming) {
          const { socket } = incoming;
          if (stripPrefix(incoming)) {
            if (isClosing) return refuse(socket, closedResponse);
            sockets.add(socket);
            socket.once("close", () => sockets.delete(socket));
            return true;
          }
          // Without another listener that responds, the caller would wait.
          return countPass(server, incoming) && refuse(socket, noSocketHere);
        },
      });
      gatewaysOn.set(server, (gatewaysOn.get(server) ?? 0) + 1);
    },
    finishRequests(graceMs) {
      isClosing = true;
      if (inProgress === 0) return Promise.resolve();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    },
    close() {
      for (const socket of sockets) socket.destroy();
      return Promise.resolve();
    },
  };
}

/** How many gateways of this process serve the sockets of a server, and how many of them have passed on an upgrade. */
const gatewaysOn = new WeakMap<Server, number>();
const passesOf = new WeakMap<IncomingMessage, number>();

/** Counts a gateway that passes on an upgrade, and returns whether nobody else is left who could respond to it. */
function countPass(server: Server, incoming: IncomingMessage): boolean {
  const passes = (passesOf.get(incoming) ?? 0) + 1;
  passesOf.set(incoming, passes);
  return passes === gatewaysOn.get(server) && passes === server.listenerCount("upgrade");
}

/** The response to everything that reaches a closed gateway. */
export const closedResponse: PlainResponse = problemResponse("overloaded", { detail: "The gateway has been closed." });

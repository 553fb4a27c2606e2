/** The gateway below a path of another program's HTTP server: its requests in progress, and the sockets of devices and viewers. */
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { DrainingServer } from "../../host/node/drain.ts";
import { writeRawResponse } from "../../host/node/http-server.ts";
import { createRefusalCount, type OnOverload } from "../../host/node/overload-report.ts";
import { createUpgradeListener, type UpgradeListener } from "../../host/node/web-sockets.ts";
import { type GatewayRequest, requestTarget } from "../../http/gateway-request.ts";
import { finishResponse, noSocketHere } from "../../http/response.ts";
import { createBackgroundWork } from "../../lib/background.ts";
import type { Pipeline } from "../../pipeline.ts";

/** A server of `node:http` or `node:https`. */
export interface SocketServer {
  on(event: "upgrade", listener: (...facts: unknown[]) => void): unknown;
  listenerCount(event: "upgrade"): number;
}

/** The part of the gateway that is below a path. */
export interface MountedHost extends DrainingServer {
  /** Keeps track of a request until its response is ready, so that it can finish before the gateway closes. */
  track<Result>(run: () => Promise<Result>): Promise<Result>;
  /** Ends the body of a request that has not arrived completely when the gateway closes. The connection belongs to the program, and may stay open. */
  abortBodyOnClose(request: GatewayRequest): GatewayRequest;
  /** Serves the sockets of devices and viewers on a server. */
  serveSockets(server: SocketServer): void;
}

/** The options of {@link createMountedHost}. */
export interface MountedHostOptions {
  /** The path without a slash at its end; empty: the root. */
  readonly prefix: string;
  /** Maximum number of sockets. */
  readonly maxSockets: number;
  readonly onFailure: (cause: unknown) => void;
  readonly onOverload: OnOverload;
}

/** Creates a {@link MountedHost}. */
export function createMountedHost(
  pipeline: Pick<Pipeline, "upgrade" | "refuse">,
  { prefix, maxSockets, onFailure, onOverload }: MountedHostOptions,
): MountedHost {
  const sockets = new Set<Duplex>();
  const bodies = new Set<() => void>();
  const requests = createBackgroundWork(systemClock);
  const countRefusal = createRefusalCount(systemClock, () => requests.size, onOverload);
  let isClosing = false;

  function admitSocket(): boolean {
    const isAdmitted = sockets.size <= maxSockets;
    if (!isAdmitted) countRefusal("refusedRequests");
    return isAdmitted;
  }

  const serve = createUpgradeListener(pipeline, {
    randomId,
    onFailure,
    admission: { admitSocket },
    prefix,
  });

  return {
    track(run) {
      const request = run();
      requests.start(request);
      return request;
    },
    abortBodyOnClose(request) {
      const read = request.readBody;
      request.readBody = (limits) =>
        new Promise((resolve, reject) => {
          const end = (): void => resolve("aborted");
          bodies.add(end);
          void read(limits)
            .then(resolve, reject)
            .finally(() => bodies.delete(end));
        });
      return request;
    },
    serveSockets(server: Server) {
      listenBelow(prefix, server, (incoming, socket, head) => {
        if (isClosing) return refuse(socket, closedResponse);
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
        serve(incoming, socket, head);
      });
    },
    finishRequests(graceMs) {
      isClosing = true;
      return requests.finish(graceMs);
    },
    close() {
      for (const end of bodies) end();
      for (const socket of sockets) socket.destroy();
      return Promise.resolve();
    },
  };
}

/** The upgrade listeners of this process's gateways on a server, by mount path. */
const listenersOf = new WeakMap<Server, Map<string, UpgradeListener>>();

/**
 * Passes the upgrades below a path to a listener, which replaces an earlier one for this path, such as that of a closed gateway. At the root it
 * gets the upgrades of the API. Node passes an upgrade to every listener of a server, so all gateways share one.
 */
function listenBelow(prefix: string, server: Server, listener: UpgradeListener): void {
  const known = listenersOf.get(server);
  if (known !== undefined) return void known.set(prefix, listener);
  const listeners = new Map([[prefix, listener]]);
  listenersOf.set(server, listeners);
  server.on("upgrade", (incoming, socket, head) => {
    const { path } = requestTarget(incoming.url ?? "");
    const [own] = [...listeners]
      .filter(([start]) => path.startsWith(start === "" ? "/v1/" : `${start}/`))
      .toSorted(([one], [other]) => other.length - one.length);
    if (own !== undefined) return own[1](incoming, socket, head);
    // Without another listener that responds, the caller would wait.
    if (server.listenerCount("upgrade") === 1) refuse(socket, noSocketHere);
  });
}

/** Responds to an upgrade that no gateway has seen. */
function refuse(socket: Duplex, response: PlainResponse): void {
  socket.on("error", () => socket.destroy());
  writeRawResponse(socket, finishResponse(response, randomId("req"), "GET"));
}

/** The response to everything that reaches a closed gateway. */
export const closedResponse: PlainResponse = problemResponse("overloaded", { detail: "The gateway has been closed." });

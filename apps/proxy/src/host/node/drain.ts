/**
 * Stops a server in two steps. It first stops accepting connections and waits for requests in flight, then drops the rest. The caller closes
 * device sockets in between (`runtimes/server/serving.ts`).
 */
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { createRequestCount, type RequestCount } from "./request-count.ts";

/** A server that can be stopped without dropping requests in flight. */
export interface DrainingServer {
  /** Stops accepting connections. Resolves when every request has its response, or when the time is up. */
  finishRequests(graceMs: number): Promise<void>;
  /** Drops all remaining connections. Resolves when the server is closed. */
  close(): Promise<void>;
}

/** Tracks the requests and sockets of a server, so that they can be stopped in two steps. */
export function trackServer(server: Server): DrainingServer {
  const upgraded = new Set<Duplex>();
  let onIdle: (() => void) | null = null;
  let closed: Promise<void> | null = null;

  const requests: RequestCount = createRequestCount(() => {
    if (requests.value === 0) onIdle?.();
  });
  server.on("request", requests.begin);
  server.on("upgrade", (_incoming, socket: Duplex) => {
    upgraded.add(socket);
    socket.once("close", () => upgraded.delete(socket));
  });

  function stopAccepting(): Promise<void> {
    return (closed ??= new Promise((resolve) => {
      server.close(() => resolve());
    }));
  }

  return {
    finishRequests(graceMs) {
      void stopAccepting();
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, graceMs);
        onIdle = () => {
          clearTimeout(timer);
          resolve();
        };
        if (requests.value === 0) onIdle();
      });
    },
    close() {
      const done = stopAccepting();
      server.closeAllConnections();
      for (const socket of upgraded) socket.destroy();
      return done;
    },
  };
}

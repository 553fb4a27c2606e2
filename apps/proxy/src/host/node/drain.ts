/**
 * Counts requests in progress, and stops a server in two steps. It first stops accepting connections and waits for requests in flight, then drops the
 * rest. The caller closes device sockets in between (`runtimes/server/instance.ts`).
 */
import type { Server } from "node:http";
import type { Duplex } from "node:stream";

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

/** An emitter that closes: a response, or the connection that it is sent on. */
interface Closing {
  on(event: "close", listener: () => void): unknown;
}

interface RequestCount {
  readonly value: number;
  /** Counts a request until its response closes, or its connection. `socket` is absent where the response always closes. */
  begin(incoming: { readonly socket?: Closing }, outgoing: Closing): void;
  /** Stops counting a request whose response continues as a stream. The connection has no other request. */
  leave(incoming: { readonly socket?: Closing }, outgoing: Closing): void;
}

/**
 * Counts requests in progress. On Deno a response that waits behind an earlier one never closes when the connection is lost, so the requests
 * of a connection end with it at the latest.
 *
 * @param onEnd called when requests have ended
 */
export function createRequestCount(onEnd: () => void = () => undefined): RequestCount {
  const unfinished = Symbol("unfinished requests");
  let value = 0;

  function end(counted: { [unfinished]?: number }, requests: number): void {
    if (requests === 0) return;
    counted[unfinished] = (counted[unfinished] ?? 0) - requests;
    value -= requests;
    onEnd();
  }

  return {
    get value() {
      return value;
    },
    begin({ socket }, outgoing) {
      const counted: Closing & { [unfinished]?: number } = socket ?? outgoing;
      if (counted[unfinished] === undefined && counted === socket) {
        socket.on("close", () => end(counted, counted[unfinished] ?? 0));
      }
      counted[unfinished] = (counted[unfinished] ?? 0) + 1;
      value += 1;
      outgoing.on("close", () => end(counted, Math.min(1, counted[unfinished] ?? 0)));
    },
    leave({ socket }, outgoing) {
      const counted: Closing & { [unfinished]?: number } = socket ?? outgoing;
      end(counted, counted[unfinished] ?? 0);
    },
  };
}

/**
 * Admission under overload. Before any work, a request is refused with 503 `overloaded` if too many are in progress or if the event loop has been
 * busy for too long, lists first, then reads of a device, then messages. Connections are limited too, so that the process keeps files for everything
 * else.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Clock } from "@letta-environments/platform";
import { eventStreamMediaType, matchEndpoint, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { isRead, requestTarget } from "../../http/gateway-request.ts";
import type { Priority } from "../../upstream/concurrency.ts";
import { createRequestCount } from "./drain.ts";
import { createRefusalCount, type OnOverload } from "./overload-report.ts";

/** The current load of the process. */
export interface Load {
  /** Number of requests in progress. */
  readonly inFlight: number;
  /** How long the event loop has been busy since it last polled all connections, in milliseconds. */
  readonly busyMs: number;
  /** Number of requests that were admitted in that time. */
  readonly admittedMeanwhile: number;
}

/** The share of the requests in progress up to which each priority is admitted. */
const shares: Readonly<Record<Priority, number>> = { 0: 1, 1: 0.85, 2: 0.7 };

/** How long the event loop may have been busy for each priority, in milliseconds. */
const busyLimitsMs: Readonly<Record<Priority, number>> = { 0: 200, 1: 100, 2: 50 };

/**
 * With fewer requests in a turn of the event loop, the time is no sign of overload: the process had to wait for the machine, or it has just started
 * and its code is not compiled yet.
 */
const minRequests = 64;

/** Decides whether a request is admitted. */
export function isAdmitted(
  priority: Priority,
  { inFlight, busyMs, admittedMeanwhile }: Load,
  maxInFlight: number,
): boolean {
  const isBusy = busyMs >= busyLimitsMs[priority] && admittedMeanwhile >= minRequests;
  return inFlight < maxInFlight * shares[priority] && !isBusy;
}

/** Returns the priority of a request; `null` for health checks, preflights, the administration and everything else that is always admitted. */
export function priorityOfRequest(method: string, target: string): Priority | null {
  // A preflight starts no work, and a page could not see why it was refused.
  if (!target.startsWith("/v1/") || method === "OPTIONS") return null;
  if (!isRead(method)) return 0;
  return /^\/v1\/environments(?:\?|$)/.test(target) ? 2 : 1;
}

/** Whether the response to a request is a stream, which keeps its connection. */
function opensStream({ method = "", url = "" }: AdmittedRequest): boolean {
  const match = matchEndpoint(method, requestTarget(url).path);
  return method === "GET" && match.kind === "matched" && match.endpoint.mediaType === eventStreamMediaType;
}

export interface AdmissionOptions {
  readonly clock: Pick<Clock, "monotonic" | "setTimer">;
  /** Maximum number of connections of callers and devices. */
  readonly maxConnections: number;
  readonly onOverload: OnOverload;
}

/** The response to an admitted request: its end, and whether its connection stays open. */
export interface AdmittedExchange {
  shouldKeepAlive: boolean;
  on(event: "close", listener: () => void): unknown;
}

/** A request before its admission, with its connection. */
export type AdmittedRequest = Pick<IncomingMessage, "method" | "url"> & Partial<Pick<IncomingMessage, "socket">>;

/** Admits connections and requests of one process. */
export interface Admission {
  /**
   * Counts a connection. Over the limit, it is refused: a first request that arrives soon gets 503, or its normal response if its path is always
   * served. At most 16 refused connections wait for that, because each is an open file; one more replaces one that has sent nothing.
   */
  accept(socket: Socket): void;
  /**
   * Counts a request until its end, or returns the response that refuses it. A stream is admitted only while there is room for it: the last fifth of
   * the connections is for other requests.
   */
  admit(incoming: AdmittedRequest, outgoing: AdmittedExchange): PlainResponse | null;
  /** Stops counting a request whose response is a stream. The limit on connections covers streams. */
  beginStream(incoming: AdmittedRequest, outgoing: AdmittedExchange): void;
  /** Whether a connection may become the socket of a device or viewer. The last fifth is for callers. Counts a refusal. */
  admitSocket(incoming: Partial<Pick<IncomingMessage, "socket">>): boolean;
}

/** Maximum number of requests in progress. */
const maxInFlightRequests = 4_096;

/** Up to this share of the maximum, connections are kept open between requests and may become sockets and streams. */
const keptShare = 0.8;

export function createAdmission({ clock, maxConnections, onOverload }: AdmissionOptions): Admission {
  const maxInFlight = Math.min(maxConnections, maxInFlightRequests);
  let connections = 0;
  const requests = createRequestCount();
  let turnBeganMs: number | null = null;
  let admittedMeanwhile = 0;
  const countRefusal = createRefusalCount(clock, () => requests.value, onOverload);
  const refused = createRefusedConnections(clock);

  /** Returns how long the turn of the event loop has taken so far, in milliseconds. A new turn starts the count. */
  function measureTurn(): number {
    const nowMs = clock.monotonic();
    if (turnBeganMs !== null) return nowMs - turnBeganMs;
    turnBeganMs = nowMs;
    admittedMeanwhile = 0;
    const endTurn = (): void => void (turnBeganMs = null);
    // Both run once all connections that were ready have been handled; the first one counts.
    setImmediate(endTurn);
    clock.setTimer(0, endTurn);
    return 0;
  }

  const isRoomy = (): boolean => connections <= maxConnections * keptShare;

  function refuse(): PlainResponse {
    countRefusal("refusedRequests");
    return overloaded;
  }

  return {
    accept(socket) {
      if (connections >= maxConnections) {
        countRefusal("closedConnections");
        return refused.add(socket);
      }
      connections += 1;
      socket.once("close", () => (connections -= 1));
    },
    admit(incoming, outgoing) {
      if (!isRoomy()) outgoing.shouldKeepAlive = false;
      const priority = priorityOfRequest(incoming.method ?? "", incoming.url ?? "");
      const isRefused = refused.has(incoming.socket);
      if (isRefused) outgoing.shouldKeepAlive = false;
      if (isRefused && priority !== null) return overloaded;
      if (!isRoomy() && opensStream(incoming)) return refuse();
      if (priority === null) return null;
      const busyMs = measureTurn();
      const load = { busyMs, admittedMeanwhile, inFlight: requests.value };
      if (!isAdmitted(priority, load, maxInFlight)) return refuse();
      admittedMeanwhile += 1;
      requests.begin(incoming, outgoing);
      return null;
    },
    beginStream: requests.leave,
    admitSocket({ socket }) {
      if (isRoomy()) return true;
      // A connection over the limit is counted already.
      if (!refused.has(socket)) refuse();
      return false;
    },
  };
}

/** The response to a request that was not started. */
export const overloaded: PlainResponse = problemResponse("overloaded");

/** Maximum number of refused connections at a time: a quarter of the files that `open-files.ts` reserves. */
const maxRefused = 16;

/** How long the first request of a refused connection may take to arrive, in milliseconds. */
const headMs = 1_000;

/** Connections over the limit, which are kept only for the response to their first request. */
function createRefusedConnections({ setTimer }: Pick<Clock, "setTimer">) {
  const endWaits = new Map<Socket, () => void>();
  return {
    /**
     * Keeps a connection until its first request, or for a second. If 16 others wait already, the oldest of them that has sent nothing is closed.
     * If all of them have sent something, this one is closed.
     */
    add(socket: Socket): void {
      if (endWaits.size >= maxRefused) {
        const silent = [...endWaits.keys()].find(({ bytesRead }) => bytesRead === 0);
        if (silent === undefined) return void socket.destroy();
        endWaits.get(silent)?.();
        endWaits.delete(silent);
        silent.destroy();
      }
      const endWait = setTimer(headMs, () => socket.destroy());
      endWaits.set(socket, endWait);
      socket.once("close", () => {
        endWait();
        endWaits.delete(socket);
      });
    },
    /** Whether the connection of a request is refused. The wait for its request ends with this call. */
    has(socket: Socket | undefined): boolean {
      const endWait = socket && endWaits.get(socket);
      endWait?.();
      return endWait !== undefined;
    },
  };
}

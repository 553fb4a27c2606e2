/**
 * A listener that answers plain reads itself (`grammar.ts`), and hands every other connection to the HTTP server of the runtime: from the first byte that
 * it does not recognise, unread, and for good. It is a second way to the same pipeline, with the same limits, timeouts and steps when it stops.
 */
import type { Server as HttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import type { RandomId } from "@letta-environments/platform";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { resolveRequestId } from "../../../http/gateway-request.ts";
import { finishResponse } from "../../../http/response.ts";
import type { Pipeline } from "../../../pipeline.ts";
import type { Admission } from "../admission.ts";
import { allowHalfOpen } from "../half-open.ts";
import type { ServerTimeouts } from "../http-server.ts";
import { answerReads, type ConnectionOptions } from "./connection.ts";
import { watchConnections } from "./connection-watch.ts";
import type { LaneExchange } from "./exchange.ts";
import { createResponseText } from "./response-text.ts";

/** A lane. It emits `request` like an HTTP server, for the requests that it answers itself. */
export interface Lane extends Server {
  /** Closes connections without a request in progress, those of the HTTP server too. */
  closeIdleConnections(): void;
  closeAllConnections(): void;
}

/** The options of {@link createLane}. */
export interface LaneOptions {
  readonly pipeline: Pick<Pipeline, "handle">;
  readonly timeouts: ServerTimeouts;
  readonly randomId: RandomId;
  readonly admission: Pick<Admission, "accept" | "admit">;
  /** Receives failures that have no request to respond to. */
  readonly onFailure: (cause: unknown) => void;
}

/** Creates a lane in front of an HTTP server, which must not listen itself. */
export function createLane(server: HttpServer, laneOptions: LaneOptions): Lane {
  const { pipeline, timeouts, randomId, admission, onFailure } = laneOptions;
  const watch = watchConnections(server, timeouts);
  const write = createResponseText(timeouts.keepAliveMs);

  function finish(exchange: LaneExchange, response: PlainResponse): PlainResponse {
    return finishResponse(response, resolveRequestId(exchange.header("x-request-id"), randomId), "GET");
  }

  const options: ConnectionOptions = {
    pipeline,
    admit(exchange) {
      lane.emit("request", exchange, exchange);
      const refusal = admission.admit(exchange, exchange);
      return refusal && finish(exchange, refusal);
    },
    toText(response, exchange) {
      try {
        return write(response, exchange);
      } catch (cause) {
        // A header field that must not be written.
        onFailure(cause);
        exchange.shouldKeepAlive = false;
        return write(finish(exchange, problemResponse("internal_error")), exchange);
      }
    },
    handOver(socket, unread) {
      watch.handOver(socket);
      server.emit("connection", socket);
      socket.unshift(unread);
      socket.resume();
    },
  };
  const lane = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    watch.open(socket, answerReads(socket, options));
  });
  lane.on("connection", admission.accept);
  allowHalfOpen(server, lane);
  lane.on("close", watch.end);
  // Deno's server closes a connection behind the first response when it does not listen.
  Object.defineProperty(server, "listening", { get: () => lane.listening });
  return Object.assign(lane, { closeIdleConnections: watch.closeIdle, closeAllConnections: watch.closeAll });
}

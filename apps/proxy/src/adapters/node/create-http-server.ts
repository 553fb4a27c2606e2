import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { getRequestListener, type HttpBindings, RequestError } from "@hono/node-server";
import type { RandomId } from "@letta-environments/platform";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { Hono } from "hono";
import { finishResponse } from "../../finish-response.ts";
import { toResponse } from "../../hono/to-response.ts";
import { answerClientErrors } from "./client-error.ts";
import { hasSeveralHosts } from "./incoming-request.ts";
import { writeRawResponse } from "./raw-response.ts";

/** How long a caller may take, in milliseconds. */
export interface ServerTimeouts {
  /** For the headers of a request. */
  readonly headersMs: number;
  /** For a whole request, body included. */
  readonly requestMs: number;
  /** Between two requests on one connection. */
  readonly keepAliveMs: number;
  /** How often the first two are checked. */
  readonly checkIntervalMs: number;
}

/** Timeouts of a server that faces anybody. */
export const defaultServerTimeouts: ServerTimeouts = {
  headersMs: 15_000,
  requestMs: 60_000,
  keepAliveMs: 65_000,
  checkIntervalMs: 5_000,
};

/** What the server needs. */
export interface HttpServerOptions {
  readonly app: Hono<{ Bindings: HttpBindings }>;
  readonly randomId: RandomId;
  readonly timeouts: ServerTimeouts;
  /** Takes a failure that no request could be told of. */
  readonly onFailure: (cause: unknown) => void;
}

/** Node's HTTP server with the app behind it. Whatever cannot become a request is a problem response too. */
export function createHttpServer(options: HttpServerOptions): Server {
  const { app, randomId, timeouts, onFailure } = options;

  function refuse(outgoing: ServerResponse, response: PlainResponse): void {
    const { status, headers, body } = finishResponse(response, randomId("req"), "GET");
    outgoing.writeHead(status, { ...headers, connection: "close" }).end(body);
  }

  function answerFailure(cause: unknown): Response {
    const isRequestError = cause instanceof RequestError;
    if (!isRequestError) onFailure(cause);
    const response = isRequestError ? unreadableRequest : problemResponse("internal_error");
    return toResponse(finishResponse(response, randomId("req"), "GET"));
  }

  const listener = getRequestListener((request, bindings) => app.fetch(request, bindings), {
    // Replacing the global Response would break every other user of it in the process.
    overrideGlobalObjects: false,
    errorHandler: answerFailure,
  });
  const server = createServer(
    {
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      keepAliveTimeout: timeouts.keepAliveMs,
      connectionsCheckingInterval: timeouts.checkIntervalMs,
      // A request without Host is refused below, as a problem.
      requireHostHeader: false,
      // Other upgrades, such as h2c, are offers that a server may pass over (RFC 9110 section 7.8).
      shouldUpgradeCallback: isWebSocketUpgrade,
    },
    (incoming, outgoing) => {
      if (hasSeveralHosts(incoming)) refuse(outgoing, severalHosts);
      else void listener(incoming, outgoing).catch(onFailure);
    },
  );
  server.on("checkExpectation", (_incoming, outgoing) => refuse(outgoing, unknownExpectation));
  server.on("connect", (_incoming, socket) => {
    socket.on("error", () => socket.destroy());
    writeRawResponse(socket, finishResponse(noTunnel, randomId("req"), "GET"));
  });
  answerClientErrors(server, randomId);
  return server;
}

function isWebSocketUpgrade(incoming: IncomingMessage): boolean {
  return incoming.headers.upgrade?.toLowerCase() === "websocket";
}

const noTunnel = problemResponse("method_not_allowed", {
  detail: "This is no tunnel.",
  headers: { allow: "GET, HEAD, POST" },
});

const severalHosts = problemResponse("invalid_request", {
  issues: [{ member: "host", rule: "must be there once" }],
});

const unknownExpectation = problemResponse("invalid_request", {
  status: 417,
  issues: [{ member: "expect", rule: "must be 100-continue" }],
});

const unreadableRequest = problemResponse("invalid_request", {
  detail: "The request target or the Host header cannot be read.",
});

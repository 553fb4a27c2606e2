/** Serves the gateway with Node's HTTP server: its timeouts, and responses to requests that Node itself refuses. */
import {
  createServer,
  type IncomingMessage,
  maxHeaderSize,
  METHODS,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { atTurnEnd } from "@letta-environments/platform/node";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { type GatewayRequest, requestIdOf } from "../../http/gateway-request.ts";
import { finishResponse } from "../../http/response.ts";
import type { MaybePromise } from "../../lib/steps.ts";
import type { Pipeline } from "../../pipeline.ts";
import type { Admission } from "./admission.ts";
import type { HonoListener, HonoListenerOptions } from "./hono-listener.ts";
import { NodeRequest, refuseBody } from "./request.ts";
import {
  requestsUpgrade,
  isLivenessProbe,
  isPlainRequest,
  isServerOptions,
  refuseHead,
  serverOptions,
} from "./request-head.ts";
import { sendResponse } from "./response.ts";
import { readUnknownMethod, respondToUnknownMethod } from "./unknown-method.ts";
import {
  deferContinue,
  closeAfterBody,
  closeAfterResponse,
  isConnectionClosing,
  respondAfterBody,
} from "./unread-body.ts";

/** Timeouts for callers on an open network, in milliseconds. */
export const defaultServerTimeouts = {
  /** For the headers of a request. */
  headersMs: 15_000,
  /** For a whole request including its body. */
  requestMs: 60_000,
  /** Between two requests on one connection. */
  keepAliveMs: 65_000,
  /** How often the first two are checked. */
  checkIntervalMs: 5_000,
};

export interface HttpServerOptions extends HonoListenerOptions {
  /** Plain requests for the API are passed to it directly, others through Hono. */
  readonly pipeline: Pick<Pipeline, "handle" | "decorate" | "refuse">;
  readonly timeouts: typeof defaultServerTimeouts;
  readonly admission: Admission;
}

/** Creates Node's HTTP server in front of the pipeline. Input that is not a valid request also gets a problem response. */
export function createHttpServer(options: HttpServerOptions): Server {
  const { pipeline, routes, randomId, timeouts, admission, onFailure } = options;
  const liveness = routes.find(({ path }) => path === "/livez");
  const passToHono = createLazyListener(options);

  function respond(incoming: IncomingMessage, outgoing: ServerResponse, response: PlainResponse): void {
    const request = new NodeRequest(incoming, outgoing);
    const finished = finishResponse(response, requestIdOf(request, randomId), "GET");
    sendLater(incoming, outgoing, pipeline.decorate(finished, request));
  }

  function respondBy(
    handle: (request: GatewayRequest) => MaybePromise<PlainResponse>,
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): void {
    const response = handle(new NodeRequest(incoming, outgoing));
    if (response instanceof Promise) void response.then((ready) => sendLater(incoming, outgoing, ready));
    else sendLater(incoming, outgoing, response);
  }

  function sendLater(incoming: IncomingMessage, outgoing: ServerResponse, response: PlainResponse): void {
    atTurnEnd(() => respondAfterBody(incoming, outgoing, () => send(incoming, outgoing, response)));
  }

  function send(incoming: IncomingMessage, outgoing: ServerResponse, response: PlainResponse): void {
    try {
      sendResponse(admission, incoming, outgoing, response);
    } catch (cause) {
      // A header field that Node refuses to write, before anything is written.
      onFailure(cause);
      if (outgoing.headersSent) return void outgoing.destroy();
      outgoing.shouldKeepAlive = false;
      respond(incoming, outgoing, problemResponse("internal_error"));
    }
  }

  function refuseAndClose(incoming: IncomingMessage, outgoing: ServerResponse, response: PlainResponse): void {
    const refusal = pipeline.refuse(new NodeRequest(incoming, outgoing), response);
    closeAfterBody(incoming, outgoing); // The end of a request with a damaged head is uncertain.
    sendResponse(admission, incoming, outgoing, refusal);
  }

  const server = createServer(
    {
      headersTimeout: timeouts.headersMs,
      requestTimeout: timeouts.requestMs,
      keepAliveTimeout: timeouts.keepAliveMs,
      connectionsCheckingInterval: timeouts.checkIntervalMs,
      // `refuseHead` refuses a request without Host, with a problem response.
      requireHostHeader: false,
      // A server may ignore other upgrades, such as h2c (RFC 9110 section 7.8).
      shouldUpgradeCallback: isWebSocketUpgrade,
    },
    (incoming, outgoing) => {
      if (isConnectionClosing(incoming)) return;
      const refusal = refuseHead(incoming);
      if (refusal !== null) return refuseAndClose(incoming, outgoing, refusal);
      const overload = admission.admit(incoming, outgoing);
      if (overload !== null) return respond(incoming, outgoing, overload);
      if (isServerOptions(incoming)) {
        return respondBy((request) => pipeline.refuse(request, serverOptions), incoming, outgoing);
      }
      if (requestsUpgrade(incoming)) outgoing.shouldKeepAlive = false;
      if (isPlainRequest(incoming)) return respondBy(pipeline.handle, incoming, outgoing);
      if (liveness !== undefined && isLivenessProbe(incoming)) return respondBy(liveness.respond, incoming, outgoing);
      passToHono(incoming, outgoing).catch(onFailure);
    },
  );
  server.on("connection", admission.accept);
  allowHalfOpen(server);
  deferContinue(server);
  server.on("checkExpectation", (incoming, outgoing) => refuseAndClose(incoming, outgoing, unknownExpectation));
  refuseTunnels(server, pipeline);
  respondToClientErrors(server, options);
  return server;
}

/** The listener of the Hono app, which is loaded with its first request. */
function createLazyListener(options: HttpServerOptions): HonoListener {
  let opening: Promise<HonoListener> | null = null;
  return async (incoming, outgoing) => {
    opening ??= import("./hono-listener.ts").then(({ createHonoListener }) => createHonoListener(options));
    const listener = await opening;
    await listener(incoming, outgoing);
  };
}

/** HTTP/1.0 has no upgrades, so a server must ignore that field there (RFC 9110 section 7.8). */
function isWebSocketUpgrade({ httpVersionMinor, headers }: IncomingMessage): boolean {
  return httpVersionMinor > 0 && headers.upgrade?.toLowerCase() === "websocket";
}

const noTunnel = problemResponse("method_not_allowed", {
  detail: "The gateway does not open tunnels.",
  headers: { allow: "GET, HEAD, POST" },
});

function refuseTunnels(server: Server, pipeline: Pick<Pipeline, "refuse">): void {
  server.on("connect", (incoming, socket) => {
    socket.on("error", () => socket.destroy());
    if (closeAfterPendingResponse(incoming)) return void socket.resume();
    writeRawResponse(socket, pipeline.refuse(new NodeRequest(incoming, socket), noTunnel));
  });
}

const unknownExpectation = problemResponse("invalid_request", {
  status: 417,
  issues: [{ member: "expect", rule: "must be 100-continue" }],
});

/** How long a caller that closed its side of the connection may wait for the response, in milliseconds. */
const halfOpenMs = 2_000;

/**
 * Lets callers close their side of a connection after the request (half-close, RFC 9112 section 9.6), such as `printf ... | nc`. At the TCP
 * level they look like callers that have disconnected, so after a short time their requests are aborted too.
 */
function allowHalfOpen(server: Server): void {
  // With this property, Bun would report the end of a connection only after the response, and waits of callers that have gone would keep their leases.
  if (process.versions["bun"] !== undefined) return;
  // Node's documentation and types lack this property. Node and Deno read it, and the runtime suite checks that.
  Object.assign(server, { httpAllowHalfOpen: true });
  server.on("connection", (socket: Socket) => {
    socket.once("end", () => {
      const timer = setTimeout(() => socket.destroy(), halfOpenMs);
      timer.unref();
      socket.once("close", () => clearTimeout(timer));
    });
  });
}

/** The latest response on a socket, and the one before it if that was still pending: properties, because a `WeakMap` costs each request more. */
const latest: unique symbol = Symbol("latest response");
const previous: unique symbol = Symbol("previous response");
type RespondingSocket = Socket & { [latest]?: ServerResponse; [previous]?: ServerResponse | undefined };

/**
 * Returns whether a response is pending on the socket of an upgrade or a tunnel. Its caller receives the whole response, then the connection
 * closes, and anything that follows is ignored. Node has removed its own listeners from the socket.
 */
export function closeAfterPendingResponse({ socket }: { readonly socket: RespondingSocket }): boolean {
  if (isConnectionClosing({ socket })) return true;
  const outgoing = socket[latest];
  if (outgoing === undefined || outgoing.writableFinished) return false;
  closeAfterResponse(socket, outgoing);
  return true;
}

/** Responds to input that never became a request: bytes that are not HTTP, headers that are too large, slow callers. */
function respondToClientErrors(server: Server, options: HttpServerOptions): void {
  for (const event of ["request", "checkExpectation"]) {
    server.on(event, ({ socket }: { readonly socket: RespondingSocket }, outgoing) => {
      const before = socket[latest];
      socket[previous] = before?.writableFinished === false ? before : undefined;
      socket[latest] = outgoing;
    });
  }
  server.on(
    "clientError",
    (error: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array }, socket: RespondingSocket) => {
      const outgoing = socket[latest];
      const refuse = (): void => respondToParseError(socket, error, options);
      // The connection closes after a pending response, and nothing after it is read.
      if (isConnectionClosing({ socket })) return;
      if (outgoing === undefined) return refuse();
      if (outgoing.writableFinished) {
        return outgoing.shouldKeepAlive && !isRepeatedByBun(outgoing, error, socket) ? refuse() : socket.destroySoon();
      }
      // The request before these bytes may have been performed, so its caller receives the response to it.
      if (outgoing.req.complete) return closeAfterResponse(socket, outgoing);
      const before = socket[previous];
      if (before !== undefined && !before.writableFinished) return closeAfterResponse(socket, before);
      // Bytes in the middle of another response would be read as a part of it.
      return outgoing.headersSent ? void socket.destroy() : respondToBody(socket, outgoing.req, error, options);
    },
  );
}

/**
 * Whether the refused bytes contain the request that was answered last. If bytes that are not HTTP follow a request in one packet, Bun reports the
 * whole packet with its methods in lower case. As a request with an unknown method it would be answered and logged again. A packet that begins with
 * any other method is a new request, whatever its headers and its body contain.
 */
function isRepeatedByBun(
  { req: { method = "", url = "" } }: ServerResponse,
  { code, rawPacket }: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array },
  socket: Socket,
): boolean {
  if (process.versions["bun"] === undefined) return false;
  const first = readUnknownMethod(code, rawPacket, socket);
  if (first !== null && !METHODS.includes(first.method.toUpperCase())) return false;
  return new TextDecoder("latin1").decode(rawPacket).includes(`${method.toLowerCase()} ${url} HTTP/`);
}

/**
 * Responds to bytes that the parser rejected. A request with an unknown method still has a path, and is routed. Other responses have no CORS headers,
 * because `Origin` was not parsed.
 */
function respondToParseError(
  socket: Socket,
  { code, rawPacket }: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array },
  options: HttpServerOptions,
): void {
  const request = readUnknownMethod(code, rawPacket, socket);
  if (request === null) {
    return writeRawResponse(
      socket,
      finishResponse(clientErrorResponse(code, rawPacket), options.randomId("req"), "GET"),
    );
  }
  void respondToUnknownMethod(request, options).then(
    (response) => writeRawResponse(socket, response),
    options.onFailure,
  );
}

/**
 * Responds to a request whose body did not arrive in time or is malformed. The pipeline may be reading it, and then logs the same status. A caller that
 * closes its side before the end of its body has most likely gone, and is logged as such.
 */
function respondToBody(
  socket: Socket,
  incoming: IncomingMessage,
  { code, rawPacket }: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array },
  { randomId }: HttpServerOptions,
): void {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") refuseBody(incoming, "late");
  else if (code !== "HPE_INVALID_EOF_STATE") refuseBody(incoming, "malformed");
  const requestId = requestIdOf(new NodeRequest(incoming, socket), randomId);
  writeRawResponse(socket, finishResponse(clientErrorResponse(code, rawPacket), requestId, "GET"));
}

/** Whether the refused bytes begin with a request line that alone exceeds the limit. A later part of a head does not show its request line. */
function hasLongTarget(rawPacket: Uint8Array | undefined): boolean {
  const start = new TextDecoder("latin1").decode(rawPacket?.subarray(0, maxHeaderSize));
  return start.length === maxHeaderSize && /^[A-Z-]+ [^ \r\n]+$/.test(start);
}

function clientErrorResponse(code: string | undefined, rawPacket: Uint8Array | undefined): PlainResponse {
  if (code === "HPE_HEADER_OVERFLOW") {
    // RFC 9112 section 3.
    if (hasLongTarget(rawPacket)) {
      return problemResponse("invalid_request", { status: 414, detail: "The request target is too long." });
    }
    return problemResponse("invalid_request", { status: 431, detail: "The headers are too large." });
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return problemResponse("invalid_request", { status: 408, detail: "The request did not arrive in time." });
  }
  return problemResponse("invalid_request", { detail: "This is not valid HTTP/1.1." });
}

/** Responds on a bare socket, where there is no `ServerResponse`, and closes it. */
export function writeRawResponse(socket: Duplex, response: PlainResponse): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const body = Buffer.from(response.body ?? "");
  const headers = {
    ...response.headers,
    // `Upgrade` is a field of the connection (RFC 9110 section 7.8).
    connection: response.headers["upgrade"] === undefined ? "close" : "close, Upgrade",
    "content-length": String(body.byteLength),
    // Node adds it to every response that is not written here (RFC 9110 section 6.6.1).
    date: new Date().toUTCString(),
  };
  const head = [
    `HTTP/1.1 ${response.status} ${STATUS_CODES[response.status] ?? ""}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ].join("\r\n");
  socket.once("finish", () => socket.destroy());
  socket.end(Buffer.concat([Buffer.from(`${head}\r\n\r\n`), body]));
}

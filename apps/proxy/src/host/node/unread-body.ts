/**
 * Handles bodies that are still arriving when the response is ready, such as that of a request with an invalid key. The response waits a moment for
 * the rest. If it arrives, the connection is kept. Otherwise the response has `Connection: close`, and the gateway reads and discards what follows
 * for a while (a lingering close, RFC 9112 section 9.6): closing a socket with unread bytes resets the connection, and a client that sends its whole
 * body first would never see the response.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** How long a response waits for the rest of a body, in milliseconds. A small body can come this much later than its head. */
const awaitedMs = 100;

/** How long the rest of a body is read and discarded after the response, in milliseconds. */
const droppedMs = 5_000;

/** Maximum number of discarded bytes: several times the largest body that the gateway accepts. */
const maxDroppedBytes = 4_194_304;

/** Marks a connection whose sending side the gateway has closed. A property costs each request less than a `WeakSet`. */
const closing: unique symbol = Symbol("closing");
type ClosingSocket = Socket & { [closing]?: true };

/** Marks the response to a request that expects `100 Continue`: reading its header fields costs each request more. */
const expecting: unique symbol = Symbol("expecting");
type ExpectedResponse = ServerResponse & { [expecting]?: true };

/**
 * Handles requests that expect `100 Continue` like any other: `NodeRequest` sends it when the body is read. Node itself would send it before any
 * check.
 */
export function deferContinue(server: Server): void {
  server.on("checkContinue", (incoming, outgoing: ExpectedResponse) => {
    outgoing[expecting] = true;
    server.emit("request", incoming, outgoing);
  });
}

/** Whether a request was pipelined after one whose response closes the connection. It must not be processed (RFC 9112 section 9.6). */
export function isConnectionClosing({ socket }: { readonly socket: ClosingSocket }): boolean {
  return socket[closing] === true;
}

/**
 * Keeps the connection after a complete request that expected `100 Continue` and did not get it. Node would close it with the response, although the
 * next request on it may already be running.
 */
export function continueComplete(incoming: IncomingMessage, outgoing: ExpectedResponse): void {
  if (outgoing[expecting] === true && !incoming.readableDidRead) outgoing.writeContinue();
}

/** Calls a function that responds to a request, when its body is complete or has taken too long. `respond` must not throw. */
export function respondAfterBody(incoming: IncomingMessage, outgoing: ExpectedResponse, respond: () => void): void {
  // At the end of a turn, a request without a body is complete, except for the last of many in one turn.
  if (incoming.complete || incoming.destroyed) {
    continueComplete(incoming, outgoing);
    return respond();
  }
  // Without `100 Continue` the body of such a request never arrives.
  if (incoming.headers.expect !== undefined) {
    closeAfterBody(incoming, outgoing);
    return respond();
  }
  let hasResponded = false;
  const respondOnce = (): void => {
    if (hasResponded) return;
    hasResponded = true;
    clearTimeout(timer);
    incoming.off("end", respondOnce).off("close", respondOnce);
    if (!incoming.complete) closeAfterBody(incoming, outgoing);
    respond();
  };
  // After a pause of the process, timers run before the data that arrived meanwhile is read.
  const timer = setTimeout(() => setImmediate(respondOnce), awaitedMs);
  incoming.on("error", ignore).on("end", respondOnce).on("close", respondOnce).resume();
}

/** Makes a response the last one of its connection, and ignores anything after its request. For a while, the gateway closes only its own side. */
export function closeAfterResponse(socket: ClosingSocket, outgoing: ServerResponse): void {
  const hasPromised = outgoing.headersSent && outgoing.shouldKeepAlive;
  socket[closing] = true;
  outgoing.shouldKeepAlive = false;
  // The HTTP servers of Node, Bun and Deno call it after the last response.
  socket.destroySoon = () => {
    socket.end();
    setTimeout(() => socket.destroy(), droppedMs).unref();
  };
  if (hasPromised) outgoing.once("finish", () => socket.destroySoon());
}

/** As {@link closeAfterResponse}, for a request whose body is not complete. The connection closes when the body is complete or too large. */
export function closeAfterBody(incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { socket } = incoming;
  const close = socket.destroySoon.bind(socket);
  closeAfterResponse(socket, outgoing);
  const closeSide = socket.destroySoon;
  let received = 0;
  let isSent = false;
  let isOver = false;
  socket.destroySoon = () => {
    if (isSent || isOver) return close();
    isSent = true;
    closeSide();
  };
  const end = (): void => {
    isOver = true;
    if (isSent) close();
  };
  const drop = (chunk: Uint8Array): void => {
    received += chunk.byteLength;
    if (received <= maxDroppedBytes) return;
    incoming.pause();
    end();
  };
  incoming.on("error", ignore).on("data", drop).once("end", end).once("close", end).resume();
}

function ignore(): void {
  // Without a listener, the error of an aborted request ends the process.
}

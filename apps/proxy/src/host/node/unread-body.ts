/**
 * Bodies that have not arrived when their request has its response, such as that of a request with an invalid key. The response waits a moment for the
 * rest: if it arrives, the connection is kept. Otherwise the response says that the connection closes, and what still arrives is dropped for a while: a
 * connection that is closed with bytes that nobody has read is reset, and a client that sends all of its body first would never read the response
 * (RFC 9112 section 9.6).
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** How long a response waits for the rest of a body, in milliseconds. A small body can come this much later than its head. */
const awaitedMs = 100;

/** How long the rest of a body is dropped after the response, in milliseconds. */
const droppedMs = 5_000;

/** How much of a body is dropped at most, in bytes: several times the largest one that the gateway accepts. */
const maxDroppedBytes = 4_194_304;

/** Marks a connection whose sending side the gateway has closed. A property costs each request less than a `WeakSet`. */
const closing: unique symbol = Symbol("closing");
type ClosingSocket = Socket & { [closing]?: true };

/** Marks the response to a request that expects `100 Continue`: reading its header fields costs each request more. */
const expecting: unique symbol = Symbol("expecting");
type ExpectedResponse = ServerResponse & { [expecting]?: true };

/**
 * Handles requests that expect `100 Continue` like any other: `NodeRequest` asks for the body when it is read. Node itself would ask before anything is
 * checked.
 */
export function askForBodiesLate(server: Server): void {
  server.on("checkContinue", (incoming, outgoing: ExpectedResponse) => {
    outgoing[expecting] = true;
    server.emit("request", incoming, outgoing);
  });
}

/** Whether a request came behind one whose response has closed the connection. It must not be performed (RFC 9112 section 9.6). */
export function isBehindClose({ socket }: { readonly socket: ClosingSocket }): boolean {
  return socket[closing] === true;
}

/**
 * Keeps the connection of a complete request that expects `100 Continue` and was not told to continue. Node would close it with the response, although
 * the request behind it may be running already.
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
  // Without `100 Continue` the body of such a request does not come.
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
  // After a pause of the process, timers run before what has arrived meanwhile is read.
  const timer = setTimeout(() => setImmediate(respondOnce), awaitedMs);
  incoming.on("error", ignore).on("end", respondOnce).on("close", respondOnce).resume();
}

/** Makes a response the last one of its connection, and ignores what follows its request. After it the gateway closes its side only, for a while. */
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

/** As {@link closeAfterResponse}, for a request whose body is not complete. The connection closes when the body is, or is too large. */
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

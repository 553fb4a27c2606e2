import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { RandomId } from "@letta-environments/platform";
import {
  type PlainResponse,
  problemResponse,
  type PlainSocket,
  type PlainSocketListener,
} from "@letta-environments/schema";
import { type WebSocket, WebSocketServer } from "ws";
import { resolveRequestId } from "../../http/gateway-request.ts";
import { finishResponse } from "../../http/response.ts";
import type { Pipeline } from "../../pipeline.ts";
import { writeRawResponse } from "./http-server.ts";
import { incomingRequest, joinedHeader } from "./request.ts";
import { refuseHead } from "./request-head.ts";
import { createFrameBudget, type FrameBudget } from "./frame-budget.ts";

/** Largest frame on any socket, in bytes. The environment server's limit for a socket can be lower, and can change. */
const maxFrameBytes = 16 * 1024 * 1024;

/** Bytes of unfinished frames on all sockets together. */
const maxUnfinishedBytes = 256 * 1024 * 1024;

/** Bytes that may wait to be sent to a device that does not read. */
const maxBufferedBytes = 64 * 1024 * 1024;

/** Room for the headers of one frame. Devices do not fragment their frames. */
const headerAllowanceBytes = 1_024;

/** How long a device may take to read why it was closed, in milliseconds. */
const closingTimeoutMs = 1_000;

/** RFC 6455 section 7.4.1: a message is too big to process. */
const messageTooBig = 1009;

/** The options of {@link serveWebSockets}. */
export interface WebSocketOptions {
  readonly randomId: RandomId;
  /** Receives failures of the code that serves a device. */
  readonly onFailure: (cause: unknown) => void;
}

/**
 * Serves WebSockets. The proxy decides before the handshake and refuses with an HTTP response, because a device whose socket
 * is closed after the handshake reconnects at once, without a pause.
 */
export function serveWebSockets(
  server: Server,
  proxy: Pick<Pipeline, "upgrade">,
  { randomId, onFailure }: WebSocketOptions,
): void {
  function refuse(socket: Duplex, incoming: IncomingMessage, response: PlainResponse): void {
    const presented = joinedHeader(incoming.rawHeaders, "x-request-id");
    writeRawResponse(socket, finishResponse(response, resolveRequestId(presented, randomId), "GET"));
  }

  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    handleProtocols: () => false,
  });
  const budget = createFrameBudget(maxUnfinishedBytes);
  webSockets.on("wsClientError", (_error, socket, incoming) => refuse(socket, incoming, badHandshake));
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    const refusal = refuseHead(incoming);
    if (refusal !== null) return refuse(socket, incoming, refusal);
    const request = incomingRequest(incoming, () => closeSignal(socket));
    // A defect in the code that serves one device ends that device's socket, not the process.
    const fail = (cause: unknown): void => {
      onFailure(cause);
      socket.destroy();
    };
    const decide = async (): Promise<void> => {
      const decision = await proxy.upgrade(request);
      if (decision.kind === "refused") return writeRawResponse(socket, decision.response);
      if (socket.destroyed) return;
      webSockets.handleUpgrade(incoming, socket, head, (webSocket) => {
        const listener = connect(webSocket, decision.attach, fail);
        limitFrames(webSocket, socket, listener, budget);
      });
    };
    decide().catch(fail);
  });
}

/** Joins a socket and its listener. The listener that it returns reports the end of the socket once. */
function connect(
  webSocket: WebSocket,
  attach: (socket: PlainSocket) => PlainSocketListener,
  fail: (cause: unknown) => void,
): PlainSocketListener {
  const attached = attach({
    send(text) {
      // `ws` silently drops a text that is sent on a closing socket.
      if (webSocket.readyState !== webSocket.OPEN) throw new Error("the socket is closing");
      if (webSocket.bufferedAmount > maxBufferedBytes) throw new Error("the device does not read");
      webSocket.send(text);
    },
    close: (code, reason) => webSocket.close(code, reason),
    terminate: () => webSocket.terminate(),
  });
  let isClosed = false;
  const listener: PlainSocketListener = {
    get maxFrameBytes() {
      return attached.maxFrameBytes;
    },
    onMessage: attached.onMessage,
    onClose(code) {
      if (!isClosed) attached.onClose(code);
      isClosed = true;
    },
  };
  webSocket.on("message", (data, isBinary) => {
    // The protocol is text, and `ws` passes a text frame as one Buffer. Larger frames are closed by `limitFrames`.
    if (isClosed || isBinary || !Buffer.isBuffer(data) || data.byteLength > listener.maxFrameBytes) return;
    try {
      listener.onMessage(data.toString("utf8"));
    } catch (cause) {
      fail(cause);
    }
  });
  // A broken frame is followed by the close event that reports it.
  webSocket.on("error", () => undefined);
  webSocket.on("close", (code) => listener.onClose(code));
  return listener;
}

/** Closes the socket of a device whose frame exceeds its limit, and drops it when all unfinished frames exceed theirs. */
function limitFrames(webSocket: WebSocket, socket: Duplex, listener: PlainSocketListener, budget: FrameBudget): void {
  const share = budget.open(() => {
    listener.onClose(messageTooBig);
    webSocket.terminate();
  });

  function closeTooBig(): void {
    share.close();
    webSocket.close(messageTooBig, `A frame is larger than ${listener.maxFrameBytes} bytes`);
    // Stop buffering the rest of the frame, but keep reading, so that the device can read the close frame.
    socket.removeAllListeners("data").resume();
    const timer = setTimeout(() => webSocket.terminate(), closingTimeoutMs);
    webSocket.once("close", () => clearTimeout(timer));
    listener.onClose(messageTooBig);
  }

  // `ws` handles a chunk, and emits the messages in it, between these two listeners.
  socket.prependListener("data", (chunk: Buffer) => share.received(chunk.byteLength));
  socket.on("data", () => {
    if (share.unfinishedBytes > listener.maxFrameBytes + headerAllowanceBytes) closeTooBig();
  });
  webSocket.on("message", (data: Buffer) => {
    share.completed(data.byteLength);
    if (data.byteLength > listener.maxFrameBytes) closeTooBig();
  });
  webSocket.on("close", share.close);
}

function closeSignal(socket: Duplex): AbortSignal {
  const controller = new AbortController();
  if (socket.destroyed) controller.abort();
  else socket.once("close", () => controller.abort());
  return controller.signal;
}

const badHandshake = problemResponse("invalid_request", {
  detail: "This is not a WebSocket handshake of version 13 (RFC 6455 section 4.1).",
  headers: { "sec-websocket-version": "13" },
});

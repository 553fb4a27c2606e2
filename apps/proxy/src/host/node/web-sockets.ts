/**
 * Serves WebSockets on Node.js, Bun and Deno. The pipeline decides on the handshake and the listener handles the frames. This file closes or drops a
 * socket whose frames break RFC 6455 or take too much memory, and tells the listener why.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { createMemoryBudget, type MemoryBudget, type MemoryLimit } from "@letta-environments/environment-server";
import type { RandomId } from "@letta-environments/platform";
import type { PlainResponse, PlainSocket, PlainSocketListener, UpgradeDecision } from "@letta-environments/schema";
import type { WebSocket, WebSocketServer } from "ws";
import { requestIdOf } from "../../http/gateway-request.ts";
import { finishResponse } from "../../http/response.ts";
import type { Pipeline } from "../../pipeline.ts";
import { closeAfterPendingResponse, writeRawResponse } from "./http-server.ts";
import { NodeRequest } from "./request.ts";
import { badHandshake, refuseHandshake } from "./handshake.ts";
import { refuseHead } from "./request-head.ts";
import { type Admission, overloaded } from "./admission.ts";
import { SocketBudget } from "./frame-budget.ts";

/** Largest frame that this host reads on any socket, in bytes. A listener may set a lower limit (`maxFrameBytes`) and change it, but never a higher one. */
const maxTransportFrameBytes = 16 * 1024 * 1024;

/** Parts of one frame. Devices do not fragment theirs; an intermediary may (RFC 6455 section 5.4). */
const maxFragments = 64;

/** Memory of unfinished frames and of frames that wait to be sent, in bytes: for all sockets of a key, and for all together. */
const memoryLimits = { maxOwnerBytes: 64 * 1024 * 1024, maxTotalBytes: 256 * 1024 * 1024 };

/** Bytes that may wait to be sent to a device that does not read. The limit of a viewer is lower. */
const maxDeviceWaitingBytes = 32 * 1024 * 1024;

/** How much of the start and of the end of an overlong text is passed on instead of it, in bytes. */
const textEdgeBytes = 8_192;

/** Room for the headers of one frame. Devices do not fragment their frames. */
const headerAllowanceBytes = 1_024;

/** How long a device may take to read why it was closed, in milliseconds. */
const closingTimeoutMs = 1_000;

// RFC 6455 section 7.4.1: a protocol error, a text that is not UTF-8, a violated policy, and a message that is too big to process. From IANA's
// registry: try again later.
const protocolError = 1002;
const invalidText = 1007;
const policyViolation = 1008;
const messageTooBig = 1009;
const tryAgainLater = 1013;
const limitCodes: readonly number[] = [policyViolation, messageTooBig, tryAgainLater];

export interface WebSocketOptions {
  readonly randomId: RandomId;
  readonly admission: Pick<Admission, "admitSocket">;
  /** Receives failures of the code that serves a device. */
  readonly onFailure: (cause: unknown) => void;
  /** The path under which the gateway is mounted, with which every URL begins. Default: none. */
  readonly prefix?: string;
}

/** A listener of a server's upgrades. */
export type UpgradeListener = (incoming: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Creates the listener that serves WebSockets. The pipeline decides before the handshake and refuses with an HTTP response, because a device whose
 * socket is closed after the handshake reconnects immediately.
 */
export function createUpgradeListener(
  pipeline: Pick<Pipeline, "upgrade" | "refuse">,
  { randomId, admission, onFailure, prefix }: WebSocketOptions,
): UpgradeListener {
  function refuse(socket: Duplex, incoming: IncomingMessage, response: PlainResponse): void {
    const requestId = requestIdOf(new NodeRequest(incoming, socket), randomId);
    writeRawResponse(socket, finishResponse(response, requestId, "GET"));
  }

  let opening: Promise<WebSocketServer> | null = null;

  /** Loads `ws` with the first upgrade: it loads TLS, which the start does not need. */
  async function openWebSockets(): Promise<WebSocketServer> {
    const { WebSocketServer: Server } = await import("ws");
    const webSockets = new Server({
      noServer: true,
      maxPayload: maxTransportFrameBytes,
      maxFragments,
      autoPong: false,
      perMessageDeflate: false,
      handleProtocols: () => false,
    });
    return webSockets.on("wsClientError", (_error, socket, incoming) => refuse(socket, incoming, badHandshake));
  }

  const budget = createMemoryBudget(memoryLimits);
  return (incoming, socket, head) => {
    const fail = endOnFailure(socket, onFailure);
    if (closeAfterPendingResponse(incoming)) return void socket.resume();
    const refusal = refuseHead(incoming);
    if (refusal !== null) {
      return writeRawResponse(socket, pipeline.refuse(new NodeRequest(incoming, socket, prefix), refusal));
    }
    if (!admission.admitSocket(incoming)) return refuse(socket, incoming, overloaded);
    const request = new NodeRequest(incoming, socket, prefix);
    const malformed = refuseHandshake(request);
    if (malformed !== null) return writeRawResponse(socket, pipeline.refuse(request, malformed));
    const decide = async (): Promise<void> => {
      const webSockets = await (opening ??= openWebSockets());
      const decision = await pipeline.upgrade(request);
      if (decision.kind === "refused") return writeRawResponse(socket, decision.response);
      if (socket.destroyed) return;
      webSockets.handleUpgrade(incoming, socket, head, (webSocket) => {
        connect(webSocket, socket, decision, budget, fail);
      });
    };
    decide().catch(fail);
  };
}

/**
 * Returns the function that receives failures of the code that serves a device: they end its socket, not the process. It lives as
 * long as the socket, so it is created here, where it does not keep the upgrade request in memory.
 */
function endOnFailure(socket: Duplex, onFailure: (cause: unknown) => void): (cause: unknown) => void {
  socket.on("error", () => socket.destroy());
  return (cause) => {
    onFailure(cause);
    socket.destroy();
  };
}

type Accepted = Extract<UpgradeDecision, { readonly kind: "accepted" }>;

/** Connects a socket to its listener, whose `onClose` is called once. */
function connect(
  webSocket: WebSocket,
  stream: Duplex,
  { owner, attach, maxWaitingBytes = maxDeviceWaitingBytes }: Accepted,
  budget: MemoryBudget,
  fail: (cause: unknown) => void,
): void {
  let isClosed = false;
  let exceeded: MemoryLimit | null = null;
  const memory = new SocketBudget(budget, owner, (limit) => {
    exceeded = limit;
    webSocket.terminate();
  });
  const listener = attach({ ...createPlainSocket(webSocket, memory, maxWaitingBytes), close });

  function onClose(code: number, limit?: string): void {
    memory.close();
    handle(() => listener.onClose(code, limit));
    isClosed = true;
  }

  /** Runs a handler of the listener, unless the socket is closed. */
  function handle(run: () => void): void {
    if (isClosed) return;
    try {
      run();
    } catch (cause) {
      fail(cause);
    }
  }

  /** Starts the closing handshake. Anything that a device sends after exceeding a limit is not even parsed. */
  function close(code: number, reason: string): void {
    webSocket.close(code, reason);
    if (!limitCodes.includes(code)) return;
    // Keeps reading, so that the device can read the close frame.
    stream.removeAllListeners("data").resume();
    const timer = setTimeout(() => webSocket.terminate(), closingTimeoutMs);
    webSocket.once("close", () => clearTimeout(timer));
  }

  function closeTooBig(): void {
    const limit = `A frame is larger than ${listener.maxFrameBytes} bytes`;
    close(messageTooBig, limit);
    onClose(messageTooBig, limit);
  }

  // `ws` handles a chunk, and emits the messages in it, between these two listeners.
  stream.prependListener("data", (chunk: Buffer) => memory.addChunk(chunk.byteLength));
  stream.on("data", () => {
    if (memory.unfinishedBytes > listener.maxFrameBytes + headerAllowanceBytes) closeTooBig();
  });
  webSocket.on("message", (data, isBinary) => {
    // The protocol is text, and `ws` passes a text frame as one Buffer.
    if (!Buffer.isBuffer(data)) return;
    memory.completeFrame(data.byteLength);
    if (data.byteLength > listener.maxFrameBytes) return isClosed ? undefined : closeTooBig();
    handle(() => {
      if (isBinary) listener.onOtherFrame(data.byteLength);
      else handOver(listener, data);
    });
  });
  webSocket.on("ping", (data) => {
    handle(() => {
      if (!listener.onOtherFrame(data.byteLength) || memory.waitingBytes > maxWaitingBytes) return;
      webSocket.pong(data, false, memory.addWaitingFrame(data.byteLength));
    });
  });
  webSocket.on("pong", (data) => handle(() => listener.onOtherFrame(data.byteLength)));
  // `ws` has refused a frame, and waits for the device to close. Connection failures do not emit this event.
  webSocket.on("error", (cause: Error & { readonly code?: unknown }) => {
    const [code, limit] = refusals[String(cause.code)] ?? [protocolError, "A frame breaks RFC 6455"];
    onClose(code, limit);
  });
  webSocket.on("close", (code) => {
    if (exceeded === null) onClose(code);
    else onClose(policyViolation, limitTexts[exceeded]);
  });
}

function handOver(listener: PlainSocketListener, data: Buffer): void {
  if (data.byteLength <= listener.maxTextBytes) return listener.onMessage(data.toString("utf8"));
  if (listener.onLongText === undefined) return void listener.onOtherFrame(data.byteLength);
  const [start, end] = [data.subarray(0, textEdgeBytes), data.subarray(-textEdgeBytes)];
  listener.onLongText(data.byteLength, start.toString("utf8"), end.toString("utf8"));
}

const limitTexts: Readonly<Record<MemoryLimit, string>> = {
  owner: "The sockets of one key use more than 64 MiB of memory",
  total: "All sockets together use more than 256 MiB of memory",
};

const tooBig = [messageTooBig, "A frame is larger than 16 MiB"] as const;

/** The close codes by error code of `ws`; all other errors are protocol errors. */
const refusals: Readonly<Record<string, readonly [code: number, limit: string]>> = {
  WS_ERR_INVALID_UTF8: [invalidText, "A text is not UTF-8"],
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: tooBig,
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: tooBig,
  WS_ERR_TOO_MANY_BUFFERED_PARTS: [policyViolation, `A frame has more than ${maxFragments} parts`],
};

function createPlainSocket(
  webSocket: WebSocket,
  memory: SocketBudget,
  maxWaitingBytes: number,
): Omit<PlainSocket, "close"> {
  return {
    send(text) {
      // `ws` silently drops a text that is sent on a closing socket.
      if (webSocket.readyState !== webSocket.OPEN) throw new Error("the socket is closing");
      if (memory.waitingBytes > maxWaitingBytes) throw new Error("the other end does not read");
      const written = memory.addWaitingFrame(Buffer.byteLength(text));
      if (memory.isClosed) throw new Error(limitTexts.owner);
      webSocket.send(text, written);
    },
    terminate: () => webSocket.terminate(),
  };
}

import type { IncomingMessage, Server } from "node:http";
import type { Duplex } from "node:stream";
import type { DeviceSocket, DeviceSocketListener } from "@letta-environments/environment-server";
import { problemResponse } from "@letta-environments/schema";
import { type WebSocket, WebSocketServer } from "ws";
import type { Pipeline } from "../../pipeline.ts";
import { writeRawResponse } from "./http-server.ts";
import { hasSeveralHosts, incomingRequest } from "./request.ts";

/** Largest frame a device may send, in bytes. */
const maxFrameBytes = 16 * 1024 * 1024;

/** What may wait to be sent to a device that does not read, in bytes. */
const maxBufferedBytes = 64 * 1024 * 1024;

/**
 * Serves WebSockets: the proxy decides first, the handshake follows. A refusal is a plain HTTP answer, because a device that
 * was let in and then closed would come back at once, without a pause.
 */
export function serveWebSockets(
  server: Server,
  proxy: Pick<Pipeline, "upgrade">,
  onFailure: (cause: unknown) => void,
): void {
  const webSockets = new WebSocketServer({
    noServer: true,
    maxPayload: maxFrameBytes,
    perMessageDeflate: false,
    handleProtocols: () => false,
  });
  webSockets.on("wsClientError", (_error, socket) => writeRawResponse(socket, badHandshake));
  server.on("upgrade", (incoming: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    if (hasSeveralHosts(incoming)) return writeRawResponse(socket, badHandshake);
    const request = incomingRequest(incoming, () => closeSignal(socket));
    // A defect in what serves one device ends that device's socket, not the process.
    const fail = (cause: unknown): void => {
      onFailure(cause);
      socket.destroy();
    };
    const decide = async (): Promise<void> => {
      const decision = await proxy.upgrade(request);
      if (decision.kind === "refused") return writeRawResponse(socket, decision.response);
      if (socket.destroyed) return;
      webSockets.handleUpgrade(incoming, socket, head, (webSocket) => connect(webSocket, decision.attach, fail));
    };
    decide().catch(fail);
  });
}

function connect(
  webSocket: WebSocket,
  attach: (socket: DeviceSocket) => DeviceSocketListener,
  fail: (cause: unknown) => void,
): void {
  const listener = attach({
    send(text) {
      // `ws` would drop the text without a word.
      if (webSocket.readyState !== webSocket.OPEN) throw new Error("the socket is closing");
      if (webSocket.bufferedAmount > maxBufferedBytes) throw new Error("the device does not read");
      webSocket.send(text);
    },
    close: (code, reason) => webSocket.close(code, reason),
    terminate: () => webSocket.terminate(),
  });
  webSocket.on("message", (data, isBinary) => {
    // The protocol is text; `ws` hands a text frame over as one Buffer.
    if (isBinary || !Buffer.isBuffer(data)) return;
    try {
      listener.onMessage(data.toString("utf8"));
    } catch (cause) {
      fail(cause);
    }
  });
  // A broken frame is followed by the close that reports it.
  webSocket.on("error", () => undefined);
  webSocket.on("close", (code) => listener.onClose(code));
}

function closeSignal(socket: Duplex): AbortSignal {
  const controller = new AbortController();
  if (socket.destroyed) controller.abort();
  else socket.once("close", () => controller.abort());
  return controller.signal;
}

const badHandshake = problemResponse("invalid_request", {
  detail: "This is no WebSocket handshake of version 13 (RFC 6455 section 4.1).",
  headers: { "sec-websocket-version": "13" },
});

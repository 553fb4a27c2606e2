/** Stands between a real device and a server: it records requests and frames, and breaks connections on demand. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request as sendRequest, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { type RawData, WebSocket, WebSocketServer } from "ws";
import { createFrameLog, type Frame, type FrameLog, parseFrame } from "./frame-log.ts";

/** A recording relay between a device and a server. The device connects to the relay's address. */
export interface Relay {
  readonly url: string;
  /** Method, path and status of every HTTP request and refused upgrade, in order. */
  readonly requests: readonly { readonly method: string; readonly path: string; readonly status: number }[];
  readonly fromDevice: FrameLog;
  readonly fromServer: FrameLog;
  /** Sends a frame to the server on every open socket, as if the device had sent it. */
  sendAsDevice(frame: Frame): void;
  close(): Promise<void>;
}

/** When the connections of a request break: once the target has the whole request, or once it has responded. */
export type Break = "after_request" | "after_response";

/** Options of a relay. */
export interface RelayOptions {
  /** Called for each request; `null` breaks nothing. */
  readonly breakOf?: (method: string, path: string) => Break | null;
  /** Returns true for a frame that is recorded but not passed on. */
  readonly loses?: (frame: Frame) => boolean;
  /** Called with the body of each request. */
  readonly onBody?: (path: string, body: string) => void;
  /** Base URL of another target for the requests of a path; `null` for the usual one. */
  readonly targetOf?: (path: string) => string | null;
}

/**
 * Starts a relay on loopback. It forwards the request's own `Host`, so that a server without a public URL returns a socket URL
 * that leads through the relay.
 */
export async function createRelay(
  targetUrl: string,
  { breakOf = () => null, loses = () => false, onBody, targetOf = () => null }: RelayOptions = {},
): Promise<Relay> {
  const requests: { method: string; path: string; status: number }[] = [];
  const fromDevice = createFrameLog();
  const fromServer = createFrameLog();
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const upstreams = new Set<WebSocket>();
  const record = (request: IncomingMessage, status: number): void =>
    void requests.push({ method: request.method ?? "", path: request.url ?? "", status });

  const server = createServer((request, response) => {
    if (onBody !== undefined) {
      void text(request.pipe(new PassThrough())).then((body) => onBody(request.url ?? "", body));
    }
    const target = targetOf(request.url ?? "") ?? targetUrl;
    passRequest(target, request, response, breakOf(request.method ?? "", request.url ?? "")).then(
      (status) => record(request, status),
      () => {
        record(request, 502);
        if (!response.destroyed) response.writeHead(502).end();
      },
    );
  });
  server.on("upgrade", (request, socket, head) => {
    // A peer that is killed resets its connection. The close event that follows informs the other side.
    socket.on("error", () => socket.destroy());
    const url = new URL(request.url ?? "/", targetUrl.replace(/^http/, "ws"));
    const upstream = new WebSocket(url, { headers: passedHeaders(request), perMessageDeflate: false });
    upstream.once("unexpected-response", (_, refusal) => {
      record(request, refusal.statusCode ?? 502);
      socket.end(`HTTP/1.1 ${refusal.statusCode} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
    });
    upstream.on("error", () => socket.destroy());
    upstream.once("open", () => {
      record(request, 101);
      upstreams.add(upstream);
      upstream.once("close", () => upstreams.delete(upstream));
      sockets.handleUpgrade(request, socket, head, (device) => {
        join(device, upstream, fromDevice, loses);
        join(upstream, device, fromServer, loses);
      });
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    fromDevice,
    fromServer,
    sendAsDevice(frame) {
      for (const upstream of upstreams) upstream.send(JSON.stringify(frame));
    },
    async close() {
      for (const client of sockets.clients) client.terminate();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function join(source: WebSocket, target: WebSocket, log: FrameLog, loses: (frame: Frame) => boolean): void {
  const pass = (data: RawData, isBinary: boolean): void => {
    const frame = isBinary ? null : parseFrame(data);
    if (frame !== null) log.add(frame);
    if (frame !== null && loses(frame)) return;
    target.send(data, { binary: isBinary });
  };
  source.on("message", pass);
  source.once("close", (code, reason) => {
    // 1005 and 1006 mean that there was no code; they cannot be sent.
    if (code === 1006) target.terminate();
    else if (code === 1005) target.close();
    else target.close(code, reason);
  });
  source.on("error", () => target.terminate());
}

async function passRequest(
  targetUrl: string,
  request: IncomingMessage,
  response: ServerResponse,
  breaks: Break | null,
): Promise<number> {
  const upstream = sendRequest(new URL(request.url ?? "/", targetUrl), {
    method: request.method,
    headers: request.headers,
  });
  upstream.on("error", () => response.destroy());
  request.pipe(upstream);
  if (breaks === "after_request") {
    await once(upstream, "finish");
    // The target reads the data in its socket before it sees the end.
    upstream.socket?.end();
    response.destroy();
    return 499;
  }
  const [received] = (await once(upstream, "response")) as [IncomingMessage];
  if (breaks === "after_response") {
    received.resume();
    response.destroy();
    return received.statusCode ?? 502;
  }
  response.writeHead(received.statusCode ?? 502, received.headers);
  received.pipe(response);
  await once(response, "finish");
  return received.statusCode ?? 502;
}

function passedHeaders(request: IncomingMessage): Record<string, string> {
  const { authorization, host } = request.headers;
  return { ...(authorization !== undefined && { authorization }), ...(host !== undefined && { host }) };
}

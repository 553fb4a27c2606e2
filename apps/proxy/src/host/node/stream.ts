/**
 * Sends a response whose body is a stream. The next chunk is read when the connection has taken the last one. If a connection does not
 * take the rest after the stream has ended, it is dropped.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { PlainHeaders } from "@letta-environments/schema";
import { finishResponse, type StreamedResponse } from "../../http/response.ts";
import { type Admission, overloaded } from "./admission.ts";
import { sendResponse } from "./response.ts";

/** How long a connection may take to receive the rest after the stream has ended, in milliseconds. */
const lastChunkMs = 5_000;

/** Sends a response with a stream, if there is room for it; otherwise 503 `overloaded`. */
export function startStream(
  admission: Pick<Admission, "admitStream">,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  response: StreamedResponse,
): void {
  if (admission.admitStream(incoming, outgoing)) return sendStream(response, outgoing);
  void response.stream.cancel().catch(() => undefined);
  outgoing.shouldKeepAlive = false;
  const { "x-request-id": requestId = "" } = response.headers;
  const { status, headers, body } = finishResponse(overloaded, requestId, "GET");
  sendResponse({ status, headers: { ...headers, ...corsHeadersOf(response.headers) }, body }, outgoing);
}

/** The headers that let a web page read the response. */
function corsHeadersOf(headers: PlainHeaders): PlainHeaders {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name === "vary" || name.startsWith("access-control-")),
  );
}

/** Sends a response with a stream, until the stream ends or the connection closes. */
function sendStream({ status, headers, stream }: StreamedResponse, outgoing: ServerResponse): void {
  const reader = stream.getReader();
  const fields = Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [name, value]));
  outgoing.once("close", () => void reader.cancel().catch(() => undefined));
  if (outgoing.destroyed) return void reader.cancel().catch(() => undefined);
  // The connection is used for nothing else afterwards.
  outgoing.shouldKeepAlive = false;
  outgoing.writeHead(status, fields);
  outgoing.flushHeaders();
  // The last chunk may still wait to be written then.
  const dropLater = (): void => void setTimeout(() => outgoing.destroy(), lastChunkMs).unref();
  reader.closed.then(dropLater, () => outgoing.destroy());
  void pump(reader, outgoing).catch(() => outgoing.destroy());
}

async function pump(reader: ReadableStreamDefaultReader<Uint8Array>, outgoing: ServerResponse): Promise<void> {
  // One listener for the whole stream: a `close` listener for each wait would stay until the connection closes.
  let resume = (): void => undefined;
  outgoing.on("drain", () => resume());
  outgoing.once("close", () => resume());
  for (;;) {
    const { done, value } = await reader.read();
    if (outgoing.destroyed) return;
    if (done) return void outgoing.end();
    if (outgoing.write(value)) continue;
    await new Promise<void>((resolve) => {
      resume = resolve;
    });
  }
}

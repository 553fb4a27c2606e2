/** Writes a response to Node's own response object, whole or as a stream. */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { PlainResponse } from "@letta-environments/schema";
import { isStreamed, type StreamedResponse } from "../../http/response.ts";
import type { Admission } from "./admission.ts";

/**
 * Sends a response.
 *
 * @throws TypeError if Node refuses a header field
 */
export function sendResponse(
  admission: Pick<Admission, "beginStream">,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  response: PlainResponse | StreamedResponse,
): void {
  if (!isStreamed(response)) return sendWhole(response, outgoing);
  admission.beginStream(incoming, outgoing);
  sendStream(response, outgoing);
}

/**
 * Up to this size a body is joined with the header block as text, which Node writes in one system call. Beyond it, copying the body costs
 * more than a second buffer in the call.
 */
const maxJoinedBytes = 4_096;

/** Writes a whole response, without a `Response`: that with its headers and stream would cost more than the rest of the request. */
function sendWhole({ status, headers, body }: PlainResponse, outgoing: ServerResponse): void {
  if (outgoing.destroyed) return;
  const fields: string[] = [];
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) fields.push(name, value);
  }
  if (body === null) {
    outgoing.writeHead(status, fields).end();
    return;
  }
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  fields.push("content-length", String(bytes.byteLength));
  outgoing.writeHead(status, fields);
  if (bytes.byteLength > maxJoinedBytes) outgoing.end(bytes);
  else outgoing.end(asBuffer(bytes).toString("latin1"), "latin1");
}

function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** How long a connection may take to receive the rest after the stream has ended, in milliseconds. */
const lastChunkMs = 5_000;

/**
 * Sends a response with a stream, until the stream ends or the connection closes. The next chunk is read when the connection has taken the last one. If
 * a connection does not take the rest after the stream has ended, it is dropped.
 */
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

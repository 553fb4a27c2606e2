import type { ServerResponse } from "node:http";
import type { GatewayResponse } from "../../http/response.ts";

/**
 * Up to this size a body is joined with the header block as text, which Node writes in one system call. Beyond it, copying the body costs
 * more than a second buffer in the call.
 */
const maxJoinedBytes = 4_096;

/**
 * Writes a response to Node's own response object, because a `Response` with its headers and stream would cost more than the rest of the request.
 *
 * @throws TypeError if the body is a stream, or Node refuses a header field
 */
export function sendResponse({ status, headers, body }: GatewayResponse, outgoing: ServerResponse): void {
  if (outgoing.destroyed) return;
  if (body instanceof ReadableStream) throw new TypeError("node-server sends streams");
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

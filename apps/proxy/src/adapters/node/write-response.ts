import type { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { PlainResponse } from "@letta-environments/schema";

/**
 * Writes an answer to Node's own response: the web's `Response`, its headers and its stream in between cost more than the rest of a
 * request. What is returned tells node-server that it is done.
 */
export function writeResponse({ status, headers, body }: PlainResponse, outgoing: ServerResponse): Response {
  if (outgoing.destroyed) return RESPONSE_ALREADY_SENT;
  if (body === null) outgoing.writeHead(status, headers).end();
  else {
    const contentLength = typeof body === "string" ? Buffer.byteLength(body) : body.byteLength;
    outgoing.writeHead(status, { ...headers, "content-length": contentLength }).end(body);
  }
  return RESPONSE_ALREADY_SENT;
}

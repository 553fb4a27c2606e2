import type { IncomingMessage, ServerResponse } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { GatewayRequest } from "../../http/gateway-request.ts";
import type { GatewayResponse } from "../../http/response.ts";
import { type GatewayOptions, toWebResponse } from "../gateway.ts";

const plainHost = /^(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$/;

/**
 * Wraps Node's request as a {@link GatewayRequest}. Path, query and headers are as they were on the wire: no dot segment is
 * resolved and no second header field is dropped.
 *
 * @param openSignal returns the signal that aborts when the caller disconnects; called at most once
 */
export function incomingRequest(incoming: IncomingMessage, openSignal: () => AbortSignal): GatewayRequest {
  const { path, query } = requestTarget(incoming.url ?? "");
  const host = incoming.headers.host ?? "";
  let signal: AbortSignal | undefined;
  return {
    method: incoming.method ?? "",
    path,
    query,
    header: (name) => joinedHeader(incoming.rawHeaders, name),
    readBody: (limitBytes) => readIncomingBody(incoming, limitBytes),
    get signal() {
      return (signal ??= openSignal());
    },
    authority: plainHost.test(host) ? `http://${host}` : null,
    clientAddress: incoming.socket.remoteAddress ?? null,
  };
}

/** Joins all fields of a name. Node's own `headers` keeps only the first of two `Authorization` fields. */
export function joinedHeader(rawHeaders: readonly string[], name: string): string | null {
  let joined: string | null = null;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const rawName = rawHeaders[index] ?? "";
    if (rawName.length !== name.length || rawName.toLowerCase() !== name) continue;
    const value = rawHeaders[index + 1] ?? "";
    joined = joined === null ? value : `${joined}, ${value}`;
  }
  return joined;
}

/** Connects `createGateway` to Node's server: requests as they were on the wire, responses without a detour. */
export const nodeHost: Required<Pick<GatewayOptions<HttpBindings>, "toGatewayRequest" | "toPath" | "toResponse">> = {
  toGatewayRequest: ({ env }) => incomingRequest(env.incoming, () => unfinishedSignal(env.outgoing)),
  toPath: (_request, options) => requestTarget(options?.env?.incoming.url ?? "").path,
  toResponse: (response, { env }) => writeResponse(response, env.outgoing),
};

/** Aborts when the connection closes before the response is complete. */
function unfinishedSignal(outgoing: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const abortIfUnfinished = (): void => {
    if (!outgoing.writableFinished) controller.abort();
  };
  if (outgoing.closed || outgoing.destroyed) abortIfUnfinished();
  else outgoing.once("close", abortIfUnfinished);
  return controller.signal;
}

/**
 * Splits a request target (RFC 9112 section 3.2) into raw path and raw query. The host of an absolute target is ignored,
 * because the caller can write anything there.
 */
export function requestTarget(target: string): { readonly path: string; readonly query: string } {
  const origin = target.replace(/^https?:\/\/[^/?#]*/i, "");
  const end = origin.indexOf("?");
  const path = end === -1 ? origin : origin.slice(0, end);
  return { path: path === "" ? "/" : path, query: end === -1 ? "" : origin.slice(end + 1) };
}

/**
 * Reads a body up to a limit. A body whose `Content-Length` exceeds the limit is not read. The server drains what is left
 * unread.
 */
export function readIncomingBody(
  incoming: IncomingMessage,
  limitBytes: number,
): Promise<Uint8Array | null | "too_large" | "aborted"> {
  if (Number(incoming.headers["content-length"] ?? 0) > limitBytes) return Promise.resolve("too_large");
  if (incoming.destroyed && !incoming.readableEnded) return Promise.resolve("aborted");
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    let length = 0;
    const finish = (result: Uint8Array | null | "too_large" | "aborted"): void => {
      incoming.off("data", onData).off("end", onEnd).off("close", onClose);
      resolve(result);
    };
    const onData = (chunk: Uint8Array): void => {
      length += chunk.byteLength;
      if (length > limitBytes) return finish("too_large");
      chunks.push(chunk);
    };
    const onEnd = (): void => finish(length === 0 ? null : Buffer.concat(chunks, length));
    const onClose = (): void => finish("aborted");
    // An aborted request also emits an error, which ends the process if nobody listens.
    incoming.on("error", onClose).on("data", onData).on("end", onEnd).on("close", onClose);
  });
}

/**
 * Writes a response to Node's own response object, because a `Response` with its headers and stream would cost more than the
 * rest of the request. Returns the marker that tells node-server so. A body that is a stream is left to node-server.
 */
function writeResponse(response: GatewayResponse, outgoing: ServerResponse): Response {
  const { status, headers, body } = response;
  if (body instanceof ReadableStream) return toWebResponse(response);
  if (outgoing.destroyed) return RESPONSE_ALREADY_SENT;
  if (body === null) outgoing.writeHead(status, headers).end();
  else {
    const contentLength = typeof body === "string" ? Buffer.byteLength(body) : body.byteLength;
    outgoing.writeHead(status, { ...headers, "content-length": contentLength }).end(body);
  }
  return RESPONSE_ALREADY_SENT;
}

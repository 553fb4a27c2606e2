import { METHODS, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { RandomId } from "@letta-environments/platform";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { finishResponse } from "../../finish-response.ts";
import { writeRawResponse } from "./raw-response.ts";

/** Answers what never became a request: bytes that are no HTTP, headers that are too large, a caller that is too slow. */
export function answerClientErrors(server: Server, randomId: RandomId): void {
  const latest = new WeakMap<Socket, ServerResponse>();
  server.on("request", (incoming, outgoing) => latest.set(incoming.socket, outgoing));
  server.on("clientError", (error: NodeJS.ErrnoException & { readonly rawPacket?: Uint8Array }, socket: Socket) => {
    const outgoing = latest.get(socket);
    // Bytes in the middle of another answer would be taken for a part of it.
    if (outgoing !== undefined && outgoing.headersSent && !outgoing.writableFinished) socket.destroy();
    else writeRawResponse(socket, finishResponse(describe(error.code, error.rawPacket), randomId("req"), "GET"));
  });
}

/** Whether what was refused would be a request with another method. Deno's parser does not tell what it refused. */
function hasUnknownMethod(code: string | undefined, rawPacket: Uint8Array | undefined): boolean {
  if (code !== "HPE_INVALID_METHOD" && code !== "HPE_ERROR") return false;
  const start = new TextDecoder("latin1").decode(rawPacket?.subarray(0, 1_024));
  const method = /^([A-Za-z]+) \/\S* HTTP\/1\.[01]\r\n/.exec(start)?.[1];
  return method !== undefined && !METHODS.includes(method);
}

function describe(code: string | undefined, rawPacket: Uint8Array | undefined): PlainResponse {
  if (code === "HPE_HEADER_OVERFLOW") {
    return problemResponse("invalid_request", { status: 431, detail: "The headers are too large." });
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return problemResponse("invalid_request", { status: 408, detail: "The request did not arrive in time." });
  }
  if (hasUnknownMethod(code, rawPacket)) {
    return problemResponse("method_not_allowed", {
      detail: "The method is not known.",
      headers: { allow: "GET, HEAD, POST" },
    });
  }
  return problemResponse("invalid_request", { detail: "This is not HTTP/1.1." });
}

import type { Server, ServerResponse } from "node:http";
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

/** Whether what was refused for its method would be a request with another one. */
function isRequestLine(rawPacket: Uint8Array | undefined): boolean {
  return /^[A-Za-z]+ \/\S* HTTP\/1\.[01]\r\n/.test(new TextDecoder("latin1").decode(rawPacket?.subarray(0, 1_024)));
}

function describe(code: string | undefined, rawPacket: Uint8Array | undefined): PlainResponse {
  if (code === "HPE_HEADER_OVERFLOW") {
    return problemResponse("invalid_request", { status: 431, detail: "The headers are too large." });
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return problemResponse("invalid_request", { status: 408, detail: "The request did not arrive in time." });
  }
  if (code === "HPE_INVALID_METHOD" && isRequestLine(rawPacket)) {
    return problemResponse("method_not_allowed", {
      detail: "The method is not known.",
      headers: { allow: "GET, HEAD, POST" },
    });
  }
  return problemResponse("invalid_request", { detail: "This is not HTTP/1.1." });
}

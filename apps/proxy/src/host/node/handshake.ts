/** The opening handshake of a WebSocket (RFC 6455 section 4). */
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { GatewayRequest } from "../../http/gateway-request.ts";

// RFC 6455 section 4.4.
const otherVersion = problemResponse("upgrade_required", {
  detail: "The gateway speaks version 13 of the WebSocket protocol (RFC 6455).",
  headers: { upgrade: "websocket", "sec-websocket-version": "13" },
});

/** The refusal of a malformed handshake. */
export const badHandshake: PlainResponse = problemResponse("invalid_request", {
  detail: "This is not a WebSocket handshake of version 13 (RFC 6455 section 4.1).",
  headers: { "sec-websocket-version": "13" },
});

/**
 * Refuses a malformed handshake (RFC 6455 section 4.2.1). `ws` would refuse it too, but after the pipeline has accepted the socket: the log would have
 * 101, and a ticket would be used up. `ws` also speaks version 8, a draft.
 */
export function refuseHandshake(request: Pick<GatewayRequest, "method" | "header">): PlainResponse | null {
  const version = request.header("sec-websocket-version");
  if (version !== null && version !== "13") return otherVersion;
  const key = request.header("sec-websocket-key") ?? "";
  const isValid = version !== null && /^[+/\dA-Za-z]{22}==$/.test(key) && request.method !== "HEAD";
  return isValid && isProtocolList(request.header("sec-websocket-protocol")) ? null : badHandshake;
}

/** Whether a field is absent, or a list of different tokens (RFC 9110 section 5.6.2). Its time is linear: anybody may send it. */
function isProtocolList(field: string | null): boolean {
  const protocols = field?.split(",").map((name) => /^[ \t]*([!#$%&'*+.^`|~\w-]+)[ \t]*$/.exec(name)?.[1]) ?? [];
  return !protocols.includes(undefined) && new Set(protocols).size === protocols.length;
}

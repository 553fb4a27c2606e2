import type { GatewayRequest } from "../gateway-request.ts";

const forwardingFields: ReadonlySet<string> = new Set(["x-forwarded-for", "forwarded"]);

/** The request as its peer sent it, for a listener that no trusted proxy stands before: what it says of others is not heard. */
export function withoutForwarding(request: GatewayRequest): GatewayRequest {
  return {
    method: request.method,
    path: request.path,
    query: request.query,
    header: (name) => (forwardingFields.has(name) ? null : request.header(name)),
    readBody: (limitBytes) => request.readBody(limitBytes),
    get signal() {
      return request.signal;
    },
    authority: request.authority,
    clientAddress: request.clientAddress,
  };
}

import type { GatewayRequest } from "../../gateway-request.ts";
import { readWebBody } from "./read-web-body.ts";
import { webRequestTarget } from "./web-request-target.ts";

/**
 * A {@link GatewayRequest} over the web's `Request`. Path and query are as its URL tells them: a runtime that resolves dot segments has done so
 * before anybody sees them.
 *
 * @param clientAddress of the peer, from whoever is sure of it; never from a header that callers can set.
 */
export function webGatewayRequest(request: Request, clientAddress: string | null): GatewayRequest {
  const { authority, path, query } = webRequestTarget(request.url);
  return {
    method: request.method,
    path,
    query,
    header: (name) => request.headers.get(name),
    readBody: (limitBytes) => readWebBody(request, limitBytes),
    // A getter: some runtimes make it only when it is asked for.
    get signal() {
      return request.signal;
    },
    authority,
    clientAddress,
  };
}

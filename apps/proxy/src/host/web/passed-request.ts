import type { BodyLimits, UnreadBody } from "../../http/body-memory.ts";
import type { GatewayRequest } from "../../http/gateway-request.ts";
import { readWebBody, webGatewayRequest } from "./request.ts";

/**
 * Wraps a request that another program passes on, like {@link webGatewayRequest}. Its framework may have created it from Node's request after a
 * parser had read the body: then the new body is an empty stream.
 */
export function passedRequest(request: Request, clientAddress: string | null, basePath: string): GatewayRequest {
  return Object.assign(webGatewayRequest(request, clientAddress, basePath), {
    readBody: (limits: BodyLimits) => readPassedBody(request, limits),
  });
}

/** @throws TypeError if the program has read the body */
async function readPassedBody(request: Request, limits: BodyLimits): Promise<Uint8Array | null | UnreadBody> {
  const body = await readWebBody(request, limits);
  // If the caller has disconnected, reading fails instead.
  if (body === null && Number(request.headers.get("content-length") ?? 0) > 0) {
    throw new TypeError(
      "the body of the request was read before it reached the gateway: let it pass before body parsers",
    );
  }
  return body;
}

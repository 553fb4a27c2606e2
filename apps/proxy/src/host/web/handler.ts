import type { RandomId } from "@letta-environments/platform";
import type { Proxy } from "../../app.ts";
import { resolveRequestId } from "../../http/gateway-request.ts";
import { finishResponse } from "../../http/response.ts";
import { answerHealth, toResponse } from "../hono-app.ts";
import { webGatewayRequest } from "./request.ts";

/** What serves the pipeline to web requests. */
export interface WebHandlerOptions {
  readonly proxy: Pick<Proxy, "handle">;
  readonly randomId: RandomId;
  /** The address of a caller, from whoever is sure of it; `null` when unknown. */
  readonly clientAddressOf: (request: Request) => string | null;
  readonly isDraining: () => boolean;
}

/** Serves the pipeline to the web's requests with no router in front: health first, and the pipeline has the word on everything else. */
export function createWebHandler(options: WebHandlerOptions): (request: Request) => Promise<Response> {
  const { proxy, randomId, clientAddressOf, isDraining } = options;
  return async (raw) => {
    const request = webGatewayRequest(raw, clientAddressOf(raw));
    const health = answerHealth(request.method, request.path, isDraining);
    if (health === null) return toResponse(await proxy.handle(request));
    const requestId = resolveRequestId(request.header("x-request-id"), randomId);
    return toResponse(finishResponse(health, requestId, request.method));
  };
}

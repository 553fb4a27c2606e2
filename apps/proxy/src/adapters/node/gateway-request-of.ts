import type { ServerResponse } from "node:http";
import type { HttpBindings } from "@hono/node-server";
import type { GatewayRequest } from "../../gateway-request.ts";
import { incomingRequest } from "./incoming-request.ts";
import { requestTarget } from "./request-target.ts";

/** The request behind Hono's context on Node. */
export function gatewayRequestOf({ env }: { readonly env: HttpBindings }): GatewayRequest {
  return incomingRequest(env.incoming, () => unfinishedSignal(env.outgoing));
}

/** The path of the wire, for Hono's router. */
export function pathOf(_request: Request, options?: { readonly env?: HttpBindings }): string {
  return requestTarget(options?.env?.incoming.url ?? "").path;
}

/** Aborts when the connection closes before the answer is complete. */
function unfinishedSignal(outgoing: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const abortIfUnfinished = (): void => {
    if (!outgoing.writableFinished) controller.abort();
  };
  if (outgoing.closed || outgoing.destroyed) abortIfUnfinished();
  else outgoing.once("close", abortIfUnfinished);
  return controller.signal;
}

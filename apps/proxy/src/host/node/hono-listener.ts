/**
 * The gateway's Hono app on node-server, for every request that is not plain. The HTTP server loads it with the first such request, because
 * node-server loads Node's whole `fetch`: that would take a third of the time from start to listening.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { getRequestListener, type HttpBindings, RequestError } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { RandomId } from "@letta-environments/platform";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { requestIdOf, requestTarget } from "../../http/gateway-request.ts";
import { finishResponse } from "../../http/response.ts";
import type { Pipeline } from "../../pipeline.ts";
import { createGatewayApp, type HostRoute, toWebResponse } from "../gateway.ts";
import type { Admission } from "./admission.ts";
import { NodeRequest } from "./request.ts";
import { sendResponse } from "./response.ts";
import { closeAfterBody, continueComplete, respondAfterBody } from "./unread-body.ts";

/** Responds to a request. It never rejects for a reason that the caller could cause. */
export type HonoListener = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>;

export interface HonoListenerOptions {
  readonly pipeline: Pick<Pipeline, "handle" | "refuse">;
  readonly routes: readonly HostRoute[];
  readonly randomId: RandomId;
  readonly admission: Pick<Admission, "beginStream">;
  /** Receives failures that become a 500, or have no request to respond to. */
  readonly onFailure: (cause: unknown) => void;
}

/** Creates the app of a pipeline and connects it to Node's server: requests as they were on the wire, responses without a detour. */
export function createHonoListener(options: HonoListenerOptions): HonoListener {
  const { pipeline, routes, randomId, admission, onFailure } = options;
  const app = createGatewayApp<HttpBindings>(pipeline, {
    routes,
    toGatewayRequest: ({ env }) => new NodeRequest(env.incoming, env.outgoing),
    toPath: (_request, given) => requestTarget(given?.env?.incoming.url ?? "").path,
    toResponse(response, { env: { incoming, outgoing } }) {
      if (incoming.complete) {
        continueComplete(incoming, outgoing);
        sendResponse(admission, incoming, outgoing, response);
      } else respondAfterBody(incoming, outgoing, () => sendLate(incoming, outgoing, response));
      // The marker tells node-server that nothing is left to do.
      return RESPONSE_ALREADY_SENT;
    },
  });

  /** Sends a response after Hono has finished, so failures are reported here. */
  function sendLate(incoming: IncomingMessage, outgoing: ServerResponse, response: PlainResponse): void {
    try {
      sendResponse(admission, incoming, outgoing, response);
    } catch (cause) {
      onFailure(cause);
      outgoing.destroy();
    }
  }

  /** Responds to a request that node-server cannot read, or whose route has failed. */
  function respondToError(cause: unknown, request: NodeRequest): Response {
    if (cause instanceof RequestError) return toWebResponse(pipeline.refuse(request, unreadableRequest));
    onFailure(cause);
    const requestId = requestIdOf(request, randomId);
    return toWebResponse(finishResponse(problemResponse("internal_error"), requestId, request.method));
  }

  return (incoming, outgoing) => {
    const respond = getRequestListener((request, bindings) => app.fetch(request, bindings), {
      // Replacing the global Response would break other code in the process.
      overrideGlobalObjects: false,
      // For requests in HTTP/1.0, which may have no Host. The gateway reads the field itself.
      hostname: "localhost",
      errorHandler(cause) {
        if (!incoming.complete) closeAfterBody(incoming, outgoing);
        return respondToError(cause, new NodeRequest(incoming, outgoing));
      },
      // `unread-body.ts` does that.
      autoCleanupIncoming: false,
    });
    return respond(incoming, outgoing) as Promise<void>;
  };
}

const unreadableRequest = problemResponse("invalid_request", {
  detail: "The request target or the Host header cannot be read.",
});

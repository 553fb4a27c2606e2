import { type Endpoint, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { callerGone } from "../http/gateway-request.ts";
import type { GatewayPorts, UpstreamFetch, UpstreamFailure, UpstreamRequest } from "../ports.ts";
import type { UpstreamOptions } from "./settings.ts";
import { judgeResponse } from "./judge-response.ts";
import { type Deadline, runWithDeadline } from "../lib/deadline.ts";

/** Calls the upstream for an endpoint and resolves with what the caller is told. */
export type Forward = (endpoint: Endpoint, request: UpstreamRequest, deadline: Deadline) => Promise<PlainResponse>;

/** Creates a {@link Forward}: one call, one deadline, and a problem for each way in which the call can fail. */
export function createForward(
  ports: Pick<GatewayPorts, "clock" | "telemetry"> & { readonly upstream: UpstreamFetch },
  config: UpstreamOptions,
): Forward {
  return async (endpoint, request, deadline) => {
    const outcome = await runWithDeadline(ports.clock, deadline, (signal) => ports.upstream(request, signal));
    if (outcome.kind !== "finished") {
      if (outcome.kind === "caller_gone") return callerGone;
      ports.telemetry({ type: "upstream_failed", operation: endpoint.operation, reason: "timeout", cause: null });
      // A send may have been delivered by now: repeating it is not safe.
      return problemResponse(endpoint.method === "GET" ? "upstream_timeout" : "delivery_unknown");
    }
    const { result } = outcome;
    if ("reason" in result) {
      ports.telemetry({ type: "upstream_failed", operation: endpoint.operation, ...result });
      return failureResponse(endpoint, result);
    }
    return config.upstream.kind === "embedded" ? result : judgeResponse(endpoint, result, request.credential);
  };
}

function failureResponse(endpoint: Endpoint, failure: UpstreamFailure): PlainResponse {
  switch (failure.reason) {
    case "unreachable":
      return problemResponse("upstream_unreachable");
    case "too_large":
      return problemResponse("upstream_response_too_large");
    case "broken":
      return endpoint.method === "GET"
        ? problemResponse("upstream_unreachable", { detail: "The connection to the upstream broke." })
        : problemResponse("delivery_unknown");
  }
}

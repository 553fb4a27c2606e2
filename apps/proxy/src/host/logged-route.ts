/** A route outside the pipeline with its line in the access log, so that the log and the metrics have every request to which the gateway responds. */
import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { failureResponse, finishResponse } from "../http/response.ts";
import { catchAll, mapMaybe, type MaybePromise } from "../lib/steps.ts";
import type { GatewayPorts } from "../ports.ts";
import { createRequestState, reportRequest, type ReportingPorts, type RequestState } from "../request-exchange.ts";
import { type HostOperation, shieldTelemetry } from "../telemetry.ts";
import type { HostRoute } from "./gateway.ts";

/** The ports that log the requests of routes. */
export interface HostReporting extends ReportingPorts, Pick<GatewayPorts, "randomId"> {}

/** A route outside the API, whose requests are logged. */
export interface LoggedRoute {
  readonly path: string;
  readonly operation: HostOperation;
  /** A response without `Cache-Control` is stored nowhere. */
  readonly respond: (request: GatewayRequest) => MaybePromise<PlainResponse>;
  /** Headers of every response of the route. */
  readonly headers?: PlainHeaders;
}

/** Returns the route as a host serves it. A failure is a problem response, and is reported. */
export function logRoute({ path, operation, respond, headers }: LoggedRoute, reporting: HostReporting): HostRoute {
  const ports = { ...reporting, telemetry: shieldTelemetry(reporting.telemetry) };

  function end(state: RequestState, request: GatewayRequest, response: PlainResponse): PlainResponse {
    reportRequest(state, request, response, ports);
    const caching = response.headers["cache-control"];
    const finished = finishResponse(response, state.requestId, request.method, caching);
    return { ...finished, headers: { ...finished.headers, ...headers } };
  }

  return {
    path,
    authentication: "none",
    respond(request) {
      const state = createRequestState(request, ports);
      state.operation = operation;
      const fail = (cause: unknown): PlainResponse => failureResponse(state.requestId, cause, ports.telemetry);
      return mapMaybe(
        catchAll(() => respond(request), fail),
        (response) => end(state, request, response),
      );
    },
  };
}

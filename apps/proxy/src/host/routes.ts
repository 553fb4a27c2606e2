/**
 * The routes outside the API, in one table. Each request gets a line in the access log, so that the log and the metrics have every request to which
 * the gateway responds. No route needs a key, and web pages of every origin may read the responses. A host serves `/readyz` and `/openapi.json` only
 * if it passes the options for them. The pipeline responds without a key only to CORS preflights and to requests that match no endpoint or have a
 * wrong method.
 */
import {
  jsonResponse,
  openApiPath,
  openApiResponse,
  type OpenApiSource,
  type PlainHeaders,
  type PlainResponse,
} from "@letta-environments/schema";
import { publicCorsHeaders } from "../http/cors.ts";
import { type GatewayRequest, isRead } from "../http/gateway-request.ts";
import { failureResponse, finishResponse, refuseUnlessRead } from "../http/response.ts";
import { catchAll, mapMaybe, type MaybePromise } from "../lib/steps.ts";
import type { GatewayPorts } from "../ports.ts";
import { createRequestState, reportRequest, type ReportingPorts, type RequestState } from "../request-exchange.ts";
import { type HostOperation, shieldTelemetry } from "../telemetry.ts";
import type { HostRoute } from "./gateway.ts";
import { readinessResponse, type ReadReadiness } from "./readiness.ts";

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

/** The facts that the routes need from a host. */
export interface HostRouteOptions extends HostReporting {
  /** Whether the process is stopping, for `/readyz`; absent where readiness is not served. */
  readonly isDraining?: () => boolean;
  /** Checks the resources of the process, for `/readyz`; absent where it has none. */
  readonly readReadiness?: ReadReadiness;
  /** The API description for `/openapi.json`; absent where it is not served. */
  readonly openApi?: OpenApiSource;
  /** Routes that complete their responses themselves, such as those of `console-routes.ts`; absent where there are none. */
  readonly others?: readonly HostRoute[];
  /** Pages for people, such as those of `docs.ts`; absent where there are none. */
  readonly pages?: readonly Pick<LoggedRoute, "path" | "respond">[];
  /** Redirects browsers from `/` to a page; absent where the gateway does not own the root. */
  readonly root?: RootOptions;
}

/** The page for browsers that open `/`. */
export interface RootOptions {
  readonly page: "console/" | "docs";
  /** Responds to every other request for `/`. */
  readonly handle: HostRoute["respond"];
}

/** Creates the routes that a host serves. */
export function createHostRoutes(options: HostRouteOptions): readonly HostRoute[] {
  const { isDraining, readReadiness = () => Promise.resolve([]), openApi, others = [], pages = [], root } = options;
  const route = (path: string, operation: HostOperation, respond: LoggedRoute["respond"]): HostRoute => {
    const read: LoggedRoute["respond"] = (request) => refuseUnlessRead(request.method) ?? respond(request);
    return logRoute({ path, operation, respond: read, headers: publicCorsHeaders }, options);
  };
  return [
    route("/livez", "checkLiveness", () => jsonResponse(200, { status: "alive" })),
    isDraining &&
      route("/readyz", "checkReadiness", ({ query }) =>
        readReadiness().then((results) => readinessResponse(results, isDraining(), query)),
      ),
    openApi && route(openApiPath, "describeApi", (request) => describeApi(request, openApi)),
    ...others,
    ...pages.map(({ path, respond }) => route(path, "readDocs", respond)),
    root && rootRoute(root, route),
  ].filter((each) => each !== undefined);
}

function rootRoute(
  { page, handle }: RootOptions,
  route: (path: string, operation: HostOperation, respond: LoggedRoute["respond"]) => HostRoute,
): HostRoute {
  const operation = page === "docs" ? "readDocs" : "readConsole";
  // Relative, since a reverse proxy may serve the gateway below a path. Temporary, since the page depends on a setting.
  const headers = { location: page, vary: "Accept" };
  const redirect = route("/", operation, () => ({ status: 307, headers, body: null }));
  return { ...redirect, respond: (request) => (prefersHtml(request) ? redirect.respond(request) : handle(request)) };
}

/** Whether a read names `text/html` and prefers it to JSON, as browsers do. */
function prefersHtml(request: GatewayRequest): boolean {
  if (!isRead(request.method)) return false;
  const ranges = (request.header("accept") ?? "").toLowerCase().replaceAll(/\s/g, "").split(",");
  const quality = (type: string): number => {
    const range = ranges.find((each) => each.split(";")[0] === type);
    return range === undefined ? 0 : Number(/;q=([^;]*)/.exec(range)?.[1] ?? 1);
  };
  return quality("text/html") > Math.max(quality("application/json"), quality("application/problem+json"));
}

async function describeApi(request: GatewayRequest, source: OpenApiSource): Promise<PlainResponse> {
  const response = await openApiResponse(request.method, request.header("if-none-match"), source);
  // The same for every caller, and only a release changes it.
  return { ...response, headers: { ...response.headers, "cache-control": "public, max-age=300" } };
}

/**
 * The routes outside the API, in one table. Each request gets its line in the access log. None needs a key, and web pages of every origin may read them. A host serves `/readyz` and `/openapi.json` only if it passes the options for them.
 * The pipeline responds without a key only to CORS preflights and to requests that match no endpoint or have a wrong method.
 */
import {
  jsonResponse,
  openApiPath,
  openApiResponse,
  type OpenApiSource,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import { publicCorsHeaders } from "../http/cors.ts";
import type { HostOperation } from "../http/host-operations.ts";
import { finishResponse, type GatewayResponse } from "../http/response.ts";
import type { HostRoute } from "./gateway.ts";
import { type HostReporting, type LoggedRoute, logRoute } from "./logged-route.ts";
import { readinessResponse, type ReadReadiness } from "./readiness.ts";

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
}

/** Creates the routes that a host serves. */
export function createHostRoutes(options: HostRouteOptions): readonly HostRoute[] {
  const { isDraining, readReadiness = () => Promise.resolve([]), openApi, others = [], pages = [] } = options;
  const route = (path: string, operation: HostOperation, respond: LoggedRoute["respond"]): HostRoute =>
    logRoute({ path, operation, respond, finish }, options);
  return [
    route(
      "/livez",
      "checkLiveness",
      readOnly(() => jsonResponse(200, { status: "alive" })),
    ),
    ...(isDraining === undefined
      ? []
      : [
          route(
            "/readyz",
            "checkReadiness",
            readOnly(({ query }) => readReadiness().then((results) => readinessResponse(results, isDraining(), query))),
          ),
        ]),
    ...(openApi === undefined
      ? []
      : [
          route(openApiPath, "describeApi", (request) =>
            describeApi(request.method, request.header("if-none-match"), openApi),
          ),
        ]),
    ...others,
    ...pages.map(({ path, respond }) => route(path, "readDocs", readOnly(respond))),
  ];
}

/** Refuses every method but GET and HEAD. */
function readOnly(respond: LoggedRoute["respond"]): LoggedRoute["respond"] {
  return (request) =>
    request.method === "GET" || request.method === "HEAD"
      ? respond(request)
      : problemResponse("method_not_allowed", { headers: { allow: "GET, HEAD" } });
}

async function describeApi(method: string, ifNoneMatch: string | null, source: OpenApiSource): Promise<PlainResponse> {
  const response = await openApiResponse(method, ifNoneMatch, source);
  if (response.status >= 400) return response;
  // The same for every caller, and changed by a release only.
  return { ...response, headers: { ...response.headers, "cache-control": publicDescription } };
}

const publicDescription = "public, max-age=300";

function finish(response: PlainResponse, requestId: string, method: string): GatewayResponse {
  const finished = finishResponse(response, requestId, method);
  const isCached = response.headers["cache-control"] === publicDescription;
  const headers = {
    ...finished.headers,
    ...publicCorsHeaders,
    ...(isCached && { "cache-control": publicDescription }),
  };
  return { ...finished, headers };
}

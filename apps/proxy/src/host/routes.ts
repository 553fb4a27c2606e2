/**
 * The routes outside the API, in one table. Each request gets a line in the access log. No route needs a key, and web pages of every origin may read
 * the responses. A host serves `/readyz` and `/openapi.json` only if it passes the options for them. The pipeline responds without a key only to CORS
 * preflights and to requests that match no endpoint or have a wrong method.
 */
import {
  jsonResponse,
  openApiPath,
  openApiResponse,
  type OpenApiSource,
  type PlainResponse,
} from "@letta-environments/schema";
import { publicCorsHeaders } from "../http/cors.ts";
import { type GatewayRequest, isRead } from "../http/gateway-request.ts";
import { refuseUnlessRead } from "../http/response.ts";
import type { HostOperation } from "../telemetry.ts";
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

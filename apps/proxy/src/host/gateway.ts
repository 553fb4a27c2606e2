/**
 * The gateway as one Hono app, the same on every runtime. `app.fetch` serves every route, and the app can be mounted in another
 * Hono app with `app.route`.
 */
import type { PlainResponse } from "@letta-environments/schema";
import type { Context, Hono } from "hono";
import { HonoBase } from "hono/hono-base";
import { TrieRouter } from "hono/router/trie-router";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { isStreamed } from "../http/response.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { Pipeline } from "../pipeline.ts";
import { webRequestTarget } from "./web-request.ts";

/** A route outside the API. It never calls the upstream. */
export interface HostRoute {
  readonly path: string;
  /** `none`: everyone may call it, without a key. `pipeline`: the pipeline authenticates. */
  readonly authentication: "none" | "pipeline";
  readonly respond: (request: GatewayRequest) => MaybePromise<PlainResponse>;
}

/** How a host connects the app to its server. The defaults use the web's `Request` and `Response`. */
export interface GatewayOptions<Bindings extends object> {
  /** The routes outside the API; see `createHostRoutes`. */
  readonly routes: readonly HostRoute[];
  /** Reads a request as it was on the wire. Hosts that have only the web's `Request` use `webGatewayRequest`, or `passedRequest` in another program. */
  readonly toGatewayRequest: (context: Context<{ Bindings: Bindings }>) => GatewayRequest;
  /** Returns the path as it was on the wire, so that Hono matches the same path as the pipeline. */
  readonly toPath?: (request: Request, options?: { readonly env?: Bindings }) => string;
  /** Sends a response, for a host that has something faster than the web's `Response`. */
  readonly toResponse?: (response: PlainResponse, context: Context<{ Bindings: Bindings }>) => Response;
}

/**
 * Creates the app of a pipeline. The pipeline matches the raw path itself, so it decides which endpoints exist; there is one
 * handler for a route and no middleware.
 *
 * @example
 * const pipeline = createPipeline(services, config);
 * const gateway = createGatewayApp(pipeline, {
 *   routes: createHostRoutes({ ...services, addressOf: pipeline.addressOf }),
 *   toGatewayRequest: (context) => passedRequest(context.req.raw, null, basePath(context)),
 * });
 * const app = new Hono().route("/letta", gateway); // serves /letta/v1/environments
 *
 * `runtimes/` shows how `services` and `config` are composed. Sockets of devices do not pass through this app: a host upgrades them
 * itself.
 */
export function createGatewayApp<Bindings extends object = object>(
  pipeline: Pick<Pipeline, "handle">,
  { routes, toGatewayRequest, toPath = webPath, toResponse = toWebResponse }: GatewayOptions<Bindings>,
): Hono<{ Bindings: Bindings }> {
  type AppContext = Context<{ Bindings: Bindings }>;
  function serve(handle: (request: GatewayRequest) => MaybePromise<PlainResponse>) {
    return (context: AppContext): MaybePromise<Response> => {
      const response = handle(toGatewayRequest(context));
      return response instanceof Promise
        ? response.then((late) => toResponse(late, context))
        : toResponse(response, context);
    };
  }

  // The routers of Hono's presets would make the Worker larger. There are few routes, and plain requests on Node bypass Hono.
  const app = new HonoBase<{ Bindings: Bindings }>({ getPath: toPath, router: new TrieRouter() }).onError((cause) => {
    // The host reports it and responds with a problem. Hono's own handler would respond with plain text.
    throw cause;
  });
  for (const { path, respond } of routes) app.all(path, serve(respond));
  const handle = serve((request) => pipeline.handle(request));
  // Mounted in another app, only these routes apply: Hono drops `notFound`, and the app handles its other paths.
  return app.all("/v1/*", handle).all("/admin/v1/*", handle).notFound(handle);
}

/** The response as the web's `Response`. */
export function toWebResponse(response: PlainResponse): Response {
  const { status, headers } = response;
  const body = isStreamed(response) ? response.stream : response.body;
  // A body never views shared memory, which the type does not say.
  return new Response(body as Exclude<PlainResponse["body"], Uint8Array> | Uint8Array<ArrayBuffer>, {
    status,
    headers,
  });
}

function webPath(request: Request): string {
  return webRequestTarget(request.url).path;
}

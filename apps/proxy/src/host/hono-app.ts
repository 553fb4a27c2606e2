import type { RandomId } from "@letta-environments/platform";
import {
  openApiResponse,
  jsonResponse,
  openApiPath,
  type OpenApiSource,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import { type Context, Hono } from "hono";
import type { Proxy } from "../app.ts";
import { type GatewayRequest, resolveRequestId } from "../http/gateway-request.ts";
import { finishResponse } from "../http/response.ts";

/** What hosts the pipeline gives. */
export interface HonoAppOptions<Bindings extends object> {
  readonly proxy: Pick<Proxy, "handle">;
  readonly randomId: RandomId;
  /** Reads a request as it stood on the wire; `context.req` has normalised its path already. */
  readonly toGatewayRequest: (context: Context<{ Bindings: Bindings }>) => GatewayRequest;
  /** The path of the wire, so that routes are matched by it too: `/v1/../livez` is no other name of `/livez`. */
  readonly toPath: (request: Request, options?: { readonly env?: Bindings }) => string;
  /** Answers: makes the web's `Response`, or writes to what the host has. */
  readonly toResponse: (response: PlainResponse, context: Context<{ Bindings: Bindings }>) => Response;
  /** Set once the process is stopping; `null` where nobody asks whether it is ready. */
  readonly isDraining: (() => boolean) | null;
  /** What is told at `/openapi.json`; absent where that is not served. */
  readonly openApi?: OpenApiSource;
}

/**
 * The routes, one handler each and no middleware. Health needs no key and never calls the upstream; all else is the
 * pipeline's, which matches the raw path itself and so has the last word on what exists.
 */
export function createHonoApp<Bindings extends object>(
  options: HonoAppOptions<Bindings>,
): Hono<{ Bindings: Bindings }> {
  const { proxy, randomId, toGatewayRequest, toPath, toResponse, isDraining, openApi } = options;
  type AppContext = Context<{ Bindings: Bindings }>;

  async function pipeline(context: AppContext): Promise<Response> {
    return toResponse(await proxy.handle(toGatewayRequest(context)), context);
  }

  function health(context: AppContext): Response | Promise<Response> {
    const { method, path } = context.req;
    const response = answerHealth(method, path, isDraining);
    if (response === null) return pipeline(context);
    const requestId = resolveRequestId(context.req.header("x-request-id") ?? null, randomId);
    return toResponse(finishResponse(response, requestId, method), context);
  }

  async function description(context: AppContext): Promise<Response> {
    if (openApi === undefined) return pipeline(context);
    const { method } = context.req;
    const response = await openApiResponse(method, context.req.header("if-none-match") ?? null, openApi);
    const requestId = resolveRequestId(context.req.header("x-request-id") ?? null, randomId);
    const finished = finishResponse(response, requestId, method);
    // The same for everybody, and newer with each release only.
    const caching = response.status < 400 ? { "cache-control": "public, max-age=300" } : {};
    return toResponse({ ...finished, headers: { ...finished.headers, ...caching } }, context);
  }

  return new Hono<{ Bindings: Bindings }>({ getPath: toPath })
    .all("/livez", health)
    .all("/readyz", health)
    .all(openApiPath, description)
    .all("/v1/*", pipeline)
    .notFound(pipeline);
}

/** A plain response as the web's `Response`. */
export function toResponse({ status, headers, body }: PlainResponse): Response {
  // A PlainResponse never views shared memory, which is what the type of a body leaves out.
  return new Response(body as Exclude<PlainResponse["body"], Uint8Array> | Uint8Array<ArrayBuffer>, {
    status,
    headers,
  });
}

/**
 * The answer of `/livez` or `/readyz`, which need no key and never call the upstream; `null` for every other path.
 *
 * @param isDraining whether the process is stopping; `null` where nobody asks whether it is ready.
 */
export function answerHealth(method: string, path: string, isDraining: (() => boolean) | null): PlainResponse | null {
  if (path !== "/livez" && (path !== "/readyz" || isDraining === null)) return null;
  if (method !== "GET" && method !== "HEAD")
    return problemResponse("method_not_allowed", { headers: { allow: "GET, HEAD" } });
  if (path === "/livez") return jsonResponse(200, { status: "alive" });
  return isDraining?.() === true ? problemResponse("shutting_down") : jsonResponse(200, { status: "ready" });
}

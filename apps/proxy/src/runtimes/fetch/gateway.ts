/**
 * The gateway as a Hono app that other programs mount: the module `@letta-environments/proxy`. Creating it opens nothing; the stores
 * are opened with the first request. Keys are in Valkey; without it, callers authenticate with tokens or with their own upstream keys.
 */
import process from "node:process";
import { randomId, systemClock } from "@letta-environments/platform/node";
import type { PlainResponse } from "@letta-environments/schema";
import type { Context, Hono } from "hono";
import { basePath } from "hono/route";
import { createJsonLogWriter } from "../../adapters/log.ts";
import { loadDocsOnce, parseDocsPages } from "../../adapters/docs-pages.ts";
import { filterByLevel } from "../../adapters/log-event.ts";
import { loadOpenApi } from "../../adapters/open-api.ts";
import { createDocsRoutes } from "../../host/docs.ts";
import { createGatewayApp } from "../../host/gateway.ts";
import { createHostRoutes } from "../../host/routes.ts";
import { passedRequest } from "../../host/web-request.ts";
import { type GatewayRequest, requestIdOf } from "../../http/gateway-request.ts";
import { failureResponse, finishResponse } from "../../http/response.ts";
import { createAddressOf } from "../../limits/client-address.ts";
import { openPipeline, openWhenCalled, resolveFetchSettings, type SettingSources, storesCheck } from "./open.ts";

/** Static files that the gateway serves, if the caller has them. */
export interface StaticFiles {
  /**
   * Reads the text of `docs-pages.json`, which is in the package, for the pages at `/docs`. Called with the first request for one, and again
   * after a failure. Absent: `/docs` is 404.
   */
  readonly readDocs?: () => Promise<string>;
}

/** The settings of a gateway, and facts about the app that it is mounted in. */
export interface GatewayOptions<Bindings extends object = object> extends SettingSources, StaticFiles {
  /**
   * Returns the client's address from a source that clients cannot forge, so not from a header that they can set. Without it, all
   * clients share the limits that count addresses.
   */
  readonly clientAddressOf?: (context: Context<{ Bindings: Bindings }>) => string | null;
}

/**
 * Creates the gateway in front of a remote environment server (`UPSTREAM_URL`, `LETTA_API_KEY`), as a Hono app with `/v1/*`, `/livez`,
 * `/readyz` and `/openapi.json`. Serve it with `fetch`, or mount it in an app. While a store cannot be opened, responses are 503; the
 * first request after a second tries again. The log is written to standard output, a line of JSON for each event.
 *
 * The embedded environment server needs sockets and a long-running process: use `@letta-environments/proxy/server`.
 *
 * @example
 * const app = new Hono().route("/letta", createGateway({ environment: process.env })); // serves /letta/v1/environments
 *
 * @throws TypeError that names every setting that breaks a rule
 */
export function createGateway<Bindings extends object = object>({
  clientAddressOf,
  readDocs,
  ...sources
}: GatewayOptions<Bindings>): Hono<{ Bindings: Bindings }> {
  const settings = resolveFetchSettings(sources);
  const write = createJsonLogWriter((line) => void process.stdout.write(line), systemClock.now);
  const log = filterByLevel(settings.logLevel, write);
  const onFailure = (cause: unknown): void => log({ type: "internal_error", requestId: "-", cause });
  const open = openWhenCalled(() => openPipeline(settings, log), { clock: systemClock, log });
  const routes = createHostRoutes({
    clock: systemClock,
    randomId,
    telemetry: log,
    addressOf: createAddressOf(settings.rateLimits.trustedProxies),
    isDraining: () => false,
    readReadiness: async () => {
      const opening = await open();
      return opening.kind === "open" ? opening.gateway.readReadiness() : [{ name: storesCheck, isReady: false }];
    },
    openApi: loadOpenApi,
    ...(readDocs && { pages: createDocsRoutes(loadDocsOnce(async () => parseDocsPages(await readDocs()), onFailure)) }),
  });

  /** Responds to a failure with a problem: an error would reach the app that the gateway is mounted in. */
  async function handle(request: GatewayRequest): Promise<PlainResponse> {
    try {
      const opening = await open();
      if (opening.kind === "open") return await opening.gateway.pipeline.handle(request);
      return finishResponse(opening.response, requestIdOf(request, randomId), request.method);
    } catch (cause) {
      const requestId = requestIdOf(request, randomId);
      return finishResponse(failureResponse(requestId, cause, log), requestId, request.method);
    }
  }

  return createGatewayApp<Bindings>(
    { handle },
    {
      routes,
      toGatewayRequest: (context) =>
        passedRequest(context.req.raw, clientAddressOf?.(context) ?? null, basePath(context)),
    },
  );
}

import { randomId } from "@letta-environments/platform/node";
import type { Hono } from "hono";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { loadOpenApi } from "../../adapters/load-open-api.ts";
import { webGatewayRequest } from "../../adapters/web/web-gateway-request.ts";
import { webRequestTarget } from "../../adapters/web/web-request-target.ts";
import type { Settings } from "../../config/settings.ts";
import { createHonoApp } from "../../hono/create-hono-app.ts";
import { toResponse } from "../../hono/to-response.ts";
import { openFetchProxy } from "./open-fetch-proxy.ts";

/** What the host knows beside the request. */
export interface FetchContext {
  /** Address of the caller, from whoever is sure of it; never from a header that callers can set. */
  readonly clientAddress?: string | null | undefined;
}

/** Opens the stores that the settings name and routes requests to the gateway over them. Rejects when one cannot be opened. */
export async function openFetchApp(
  settings: Settings,
  log: (event: LogEvent) => void,
): Promise<Hono<{ Bindings: FetchContext }>> {
  return createHonoApp<FetchContext>({
    proxy: await openFetchProxy(settings, log),
    randomId,
    toGatewayRequest: ({ req, env }) => webGatewayRequest(req.raw, env.clientAddress ?? null),
    toPath: (request) => webRequestTarget(request.url).path,
    toResponse,
    isDraining: () => false,
    openApi: loadOpenApi,
  });
}

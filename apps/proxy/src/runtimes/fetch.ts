/** The gateway as a function from the web's `Request` to its `Response`, for hosts that take one. It imports nothing at once but code. */
import process from "node:process";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { loadOpenApi } from "../adapters/load-open-api.ts";
import { createConsoleTelemetry } from "../adapters/console-telemetry.ts";
import { webGatewayRequest } from "../adapters/web/web-gateway-request.ts";
import { webRequestTarget } from "../adapters/web/web-request-target.ts";
import { failureResponse } from "../failure-response.ts";
import { finishResponse } from "../finish-response.ts";
import { createHonoApp } from "../hono/create-hono-app.ts";
import { toResponse } from "../hono/to-response.ts";
import { openFetchProxy } from "./fetch/open-fetch-proxy.ts";
import { type FetchSettingSources, resolveFetchSettings } from "./fetch/resolve-fetch-settings.ts";

/** What the host knows beside the request. */
export interface FetchContext {
  /** Address of the caller, from whoever is sure of it; never from a header that callers can set. */
  readonly clientAddress?: string | null | undefined;
}

/** Answers a request; it never rejects. */
export type FetchHandler = (request: Request, context?: FetchContext) => Promise<Response>;

/**
 * Makes the handler of an environment (`UPSTREAM_URL`, `LETTA_API_KEY`, `VALKEY_URL`, `KEY_PEPPER`) and of a configuration as it would stand in
 * `proxy.config.json`. Stores are opened with the first request, and again after a failure.
 *
 * @throws TypeError that names every setting that breaks a rule.
 */
export function createFetchHandler(sources: FetchSettingSources): FetchHandler {
  const settings = resolveFetchSettings(sources);
  const log = createConsoleTelemetry("json", (line) => void process.stdout.write(line), systemClock.now);
  let opening: ReturnType<typeof open> | null = null;

  async function open() {
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

  return async (request, context) => {
    const opened = (opening ??= open());
    // Whatever a host hands over as the context, only a text can be an address.
    const clientAddress = typeof context?.clientAddress === "string" ? context.clientAddress : null;
    try {
      return await (await opened).fetch(request, { clientAddress });
    } catch (cause) {
      // A request that fails must not cost the open stores, nor an opening that began after this one.
      await opened.catch(() => {
        if (opening === opened) opening = null;
      });
      const requestId = randomId("req");
      return toResponse(finishResponse(failureResponse(requestId, cause, log), requestId, request.method));
    }
  };
}

/** The gateway as a function from the web's `Request` to its `Response`, for hosts that take one. It imports nothing at once but code. */
import process from "node:process";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { createConsoleTelemetry } from "../adapters/log.ts";
import { failureResponse } from "../http/response.ts";
import { finishResponse } from "../http/response.ts";
import { toWebResponse } from "../host/gateway.ts";
import { answerLiveness } from "./fetch/compose.ts";
import { type FetchContext, openFetchApp } from "./fetch/compose.ts";
import { type FetchSettingSources, resolveFetchSettings } from "./fetch/compose.ts";

export type { FetchContext } from "./fetch/compose.ts";

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
  let opening: ReturnType<typeof openFetchApp> | null = null;

  return async (request, context) => {
    const liveness = await answerLiveness(request);
    if (liveness !== null) return liveness;
    const opened = (opening ??= openFetchApp(settings, log));
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
      return toWebResponse(finishResponse(failureResponse(requestId, cause, log), requestId, request.method));
    }
  };
}

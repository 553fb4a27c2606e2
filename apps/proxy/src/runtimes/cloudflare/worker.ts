/**
 * The Worker behind its entries, which choose whether it has sessions of the web console. The gateway is composed with the first request,
 * because before it a Worker has neither a clock nor random numbers.
 */
import { randomId, systemClock } from "@letta-environments/platform/cloudflare";
import { type OpenApiDocument, openApiPath, problemResponse } from "@letta-environments/schema";
import type { Hono } from "hono";
import type { LogEvent } from "../../adapters/log-event.ts";
import { createJsonTelemetry } from "../../adapters/log.ts";
import { filterByLevel } from "../../adapters/log-level.ts";
import { describeDocument } from "../../adapters/open-api.ts";
import { createGateway, toWebResponse } from "../../host/gateway.ts";
import { createHostRoutes } from "../../host/routes.ts";
import { failureResponse, finishResponse } from "../../http/response.ts";
import { type ComposeSessions, composeWorker } from "./compose.ts";
import { resolveWorkerSettings, type WorkerBindings } from "./settings.ts";

/** A request as the platform passes it. */
type WorkerRequest = Request & { readonly cf?: { readonly colo?: string } };

/** The default export of an entry, which the platform calls. */
export interface Worker {
  fetch(request: WorkerRequest, bindings: WorkerBindings): Promise<Response>;
}

const log: (event: LogEvent) => void = filterByLevel(
  "info",
  createJsonTelemetry(
    // oxlint-disable-next-line no-console -- the platform has no other log
    (line) => console.log(line.trimEnd()),
    systemClock.now,
  ),
);

/**
 * Creates the Worker of an entry.
 *
 * @param composeSessions composes the sessions of the web console; absent: there is no console, and the bundle has no code for it
 */
export function createWorker(composeSessions?: ComposeSessions): Worker {
  /** The gateway of this isolate; `null` until the first request. */
  let gateway: Hono<{ Bindings: WorkerBindings }> | null = null;

  function compose({ cf }: WorkerRequest, bindings: WorkerBindings): Hono<{ Bindings: WorkerBindings }> | null {
    const resolved = resolveWorkerSettings({ ...bindings });
    if (!resolved.ok) {
      log({ type: "not_configured", problems: resolved.problems });
      return null;
    }
    const pipeline = composeWorker(resolved.settings, bindings, cf?.colo ?? "here", log, composeSessions);
    return createGateway<WorkerBindings>(pipeline, {
      routes: createHostRoutes({
        clock: systemClock,
        randomId,
        telemetry: log,
        addressOf: pipeline.addressOf,
        isDraining: () => false,
        openApi: () => readOpenApi(bindings.ASSETS),
        root: { page: composeSessions === undefined ? "docs" : "console/", handle: pipeline.handle },
      }),
      // The platform sets this header itself, whatever a client sends.
      clientAddressOf: ({ req }) => req.header("cf-connecting-ip") ?? null,
    });
  }

  return {
    async fetch(request, bindings) {
      try {
        gateway ??= compose(request, bindings);
        return gateway === null ? notConfigured(request) : await gateway.fetch(request, bindings);
      } catch (cause) {
        const requestId = randomId("req");
        return toWebResponse(finishResponse(failureResponse(requestId, cause, log), requestId, request.method));
      }
    },
  };
}

/** Reads the API description from the static assets, so that the Worker does not contain it. */
async function readOpenApi(assets: WorkerBindings["ASSETS"]): Promise<OpenApiDocument> {
  const response = await assets.fetch(`https://assets${openApiPath}`);
  return describeDocument(await response.text());
}

/** Responds to every request while the settings break a rule. Only the log contains the rule. */
function notConfigured({ method }: Request): Response {
  const response = problemResponse("internal_error", { detail: "The gateway is not configured. Its log says why." });
  return toWebResponse(finishResponse(response, randomId("req"), method));
}

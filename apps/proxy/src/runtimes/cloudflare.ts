/**
 * `letta-proxy` on Cloudflare Workers. The gateway is composed with the first request, because before it a Worker has neither a
 * clock nor random numbers.
 */
import { randomId, systemClock } from "@letta-environments/platform/cloudflare";
import { type OpenApiDocument, openApiPath, problemResponse } from "@letta-environments/schema";
import type { Hono } from "hono";
import type { LogEvent } from "../adapters/log-event.ts";
import { createJsonTelemetry } from "../adapters/log.ts";
import { describeDocument } from "../adapters/open-api.ts";
import { createGateway, toWebResponse } from "../host/gateway.ts";
import { createHostRoutes } from "../host/routes.ts";
import { failureResponse, finishResponse } from "../http/response.ts";
import { composeWorker } from "./cloudflare/compose.ts";
import { resolveWorkerSettings, type WorkerBindings } from "./cloudflare/settings.ts";

export { AuditObject } from "../adapters/cloudflare/audit-object.ts";
export { FlightObject } from "../adapters/cloudflare/coordinator-object.ts";
export { KeyObject } from "../adapters/cloudflare/key-object.ts";
export { RateLimitObject } from "../adapters/cloudflare/rate-limit-object.ts";
export { SendObject } from "../adapters/cloudflare/tenant-object.ts";

/** A request as the platform passes it. */
type WorkerRequest = Request & { readonly cf?: { readonly colo?: string } };

const log: (event: LogEvent) => void = createJsonTelemetry(
  // oxlint-disable-next-line no-console -- the platform has no other log
  (line) => console.log(line.trimEnd()),
  systemClock.now,
);

/** The gateway of this isolate; `null` until the first request. */
let gateway: ReturnType<typeof compose> = null;

function compose({ cf }: WorkerRequest, bindings: WorkerBindings): Hono<{ Bindings: WorkerBindings }> | null {
  const resolved = resolveWorkerSettings({ ...bindings });
  if (!resolved.ok) {
    log({ type: "not_configured", problems: resolved.problems });
    return null;
  }
  return createGateway<WorkerBindings>(composeWorker(resolved.settings, bindings, cf?.colo ?? "here", log), {
    routes: createHostRoutes({ randomId, isDraining: () => false, openApi: () => readOpenApi(bindings.ASSETS) }),
    // The platform sets this header itself, whatever a client sends.
    clientAddressOf: ({ req }) => req.header("cf-connecting-ip") ?? null,
  });
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

export default {
  async fetch(request: WorkerRequest, bindings: WorkerBindings): Promise<Response> {
    try {
      gateway ??= compose(request, bindings);
      return gateway === null ? notConfigured(request) : await gateway.fetch(request, bindings);
    } catch (cause) {
      const requestId = randomId("req");
      return toWebResponse(finishResponse(failureResponse(requestId, cause, log), requestId, request.method));
    }
  },
};

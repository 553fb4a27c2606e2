/** `letta-proxy` on Cloudflare Workers. Everything is composed with the first request: before it there is neither a clock nor randomness. */
import { randomId } from "@letta-environments/platform/cloudflare";
import { type OpenApiDocument, openApiPath } from "@letta-environments/schema";
import type { Hono } from "hono";
import { describeDocument } from "../adapters/open-api.ts";
import { createGateway } from "../host/gateway.ts";
import { createHostRoutes } from "../host/routes.ts";
import { composeWorker } from "./cloudflare/compose.ts";
import { log } from "./cloudflare/log.ts";
import { notConfigured } from "./cloudflare/log.ts";
import { resolveWorkerSettings } from "./cloudflare/settings.ts";
import type { WorkerBindings } from "./cloudflare/settings.ts";

export { AuditObject } from "../adapters/cloudflare/audit-log.ts";
export { FlightObject } from "../adapters/cloudflare/flight-object.ts";
export { KeyObject } from "../adapters/cloudflare/key-object.ts";
export { RateLimitObject } from "../adapters/cloudflare/rate-limit-object.ts";

/** A request as the platform gives it. */
type WorkerRequest = Request & { readonly cf?: { readonly colo?: string } };

/** Of this isolate; `null` until the first request. */
let gateway: ReturnType<typeof compose> = null;

function compose({ cf }: WorkerRequest, bindings: WorkerBindings): Hono<{ Bindings: WorkerBindings }> | null {
  const resolved = resolveWorkerSettings({ ...bindings });
  if (!resolved.ok) {
    log({ type: "not_configured", problems: resolved.problems });
    return null;
  }
  return createGateway<WorkerBindings>(composeWorker(resolved.settings, bindings, cf?.colo ?? "here", log), {
    routes: createHostRoutes({ randomId, isDraining: () => false, openApi: () => readOpenApi(bindings.ASSETS) }),
    // The platform sets this header itself, whatever a caller sends.
    clientAddressOf: ({ req }) => req.header("cf-connecting-ip") ?? null,
  });
}

/** Reads the API description from the static assets, so that the Worker does not contain it. */
async function readOpenApi(assets: WorkerBindings["ASSETS"]): Promise<OpenApiDocument> {
  const response = await assets.fetch(`https://assets${openApiPath}`);
  return describeDocument(await response.text());
}

export default {
  async fetch(request: WorkerRequest, bindings: WorkerBindings): Promise<Response> {
    gateway ??= compose(request, bindings);
    return gateway === null ? notConfigured(request) : gateway.fetch(request, bindings);
  },
};

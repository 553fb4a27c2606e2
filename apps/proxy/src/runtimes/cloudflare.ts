/** `letta-proxy` on Cloudflare Workers. Everything is composed with the first request: before it there is neither a clock nor randomness. */
import { randomId } from "@letta-environments/platform/cloudflare";
import { createWebHandler } from "../adapters/web/create-web-handler.ts";
import { composeWorker } from "./cloudflare/compose-worker.ts";
import { log } from "./cloudflare/log.ts";
import { notConfigured } from "./cloudflare/not-configured.ts";
import { resolveWorkerSettings } from "./cloudflare/resolve-worker-settings.ts";
import type { WorkerBindings } from "./cloudflare/worker-bindings.ts";

export { AuditObject } from "../adapters/cloudflare/audit-log.ts";
export { FlightObject } from "../adapters/cloudflare/flight-object.ts";
export { KeyObject } from "../adapters/cloudflare/key-object.ts";
export { RateLimitObject } from "../adapters/cloudflare/rate-limit-object.ts";

/** A request as the platform gives it. */
type WorkerRequest = Request & { readonly cf?: { readonly colo?: string } };

/** Of this isolate; `null` until the first request. */
let handle: ((request: Request) => Promise<Response>) | null = null;

function compose({ cf }: WorkerRequest, bindings: WorkerBindings): typeof handle {
  const resolved = resolveWorkerSettings({ ...bindings });
  if (!resolved.ok) {
    log({ type: "not_configured", problems: resolved.problems });
    return null;
  }
  return createWebHandler({
    proxy: composeWorker(resolved.settings, bindings, cf?.colo ?? "here", log),
    randomId,
    // The platform sets this header itself, whatever a caller sends.
    clientAddressOf: ({ headers }) => headers.get("cf-connecting-ip"),
    isDraining: () => false,
  });
}

export default {
  async fetch(request: WorkerRequest, bindings: WorkerBindings): Promise<Response> {
    handle ??= compose(request, bindings);
    return handle === null ? notConfigured(request) : handle(request);
  },
};

import { waitUntil } from "cloudflare:workers";
import { systemClock } from "@letta-environments/platform/cloudflare";
import { createDurableRateLimitStore } from "../../adapters/cloudflare/durable-rate-limit-store.ts";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createMemoryRateLimitStore } from "../../adapters/memory-rate-limit-store.ts";
import type { RateLimitSettings } from "../../limits/settings.ts";
import { chooseShards } from "../../rate-limit/choose-shards.ts";
import { createRateLimiter, type RateLimiter } from "../../rate-limit/create-rate-limiter.ts";
import type { WorkerBindings } from "./worker-bindings.ts";

/** The limits of one isolate: counted in Durable Objects, and without them by each policy's own way. */
export function composeRateLimits(
  settings: RateLimitSettings,
  limits: WorkerBindings["LIMITS"],
  log: (event: LogEvent) => void,
): { readonly settings: RateLimitSettings; readonly limiter: RateLimiter | null } {
  if (settings.limits.length === 0) return { settings, limiter: null };
  const limiter = createRateLimiter({
    store: createDurableRateLimitStore(limits, waitUntil),
    localStore: createMemoryRateLimitStore(systemClock),
    clock: systemClock,
    deadlineMs: settings.deadlineMs,
    instances: settings.instances,
    onDegraded(event) {
      if (event.state === "degraded") log({ type: "rate_limits_degraded", reason: event.reason, cause: event.cause });
      else log({ type: "rate_limits_recovered", durationMs: event.durationMs, decisions: event.decisions });
    },
  });
  return { settings: { ...settings, limits: chooseShards(settings.limits) }, limiter };
}

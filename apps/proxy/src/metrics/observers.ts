/** Counts what no single event reports: decisions of the rate limiter, calls of the upstream client, and tenants for which a remote upstream fails. */
import type { Clock } from "@letta-environments/platform";
import { mapMaybe } from "../lib/steps.ts";
import type { UpstreamFailure, UpstreamFetch } from "../ports.ts";
import type { RateLimiter } from "../rate-limit/limiter.ts";
import type { RateLimitDecision, RateLimitOutcome } from "../rate-limit/store.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { metrics } from "./definitions.ts";
import { methodLabel, statusLabel } from "./request-series.ts";
import type { MetricTable, SeriesIndex } from "./table.ts";

/** Returns a limiter that counts its decisions by policy. Probes are not counted. */
export function observeLimiter(table: MetricTable, limiter: RateLimiter): RateLimiter {
  const known = new Map<string, readonly [allowed: SeriesIndex, refused: SeriesIndex]>();

  function seriesOf({ policy: { name, mode } }: RateLimitDecision): readonly [SeriesIndex, SeriesIndex] {
    const found = known.get(name);
    if (found !== undefined) return found;
    const refused = mode === "shadow" ? "shadow_refused" : "refused";
    // Names of policies come from the configuration.
    const series = [
      table.series(metrics.rateLimitDecisions, [name, "allowed"]),
      table.series(metrics.rateLimitDecisions, [name, refused]),
    ] as const;
    known.set(name, series);
    return series;
  }

  function count(outcome: RateLimitOutcome): RateLimitOutcome {
    for (const decision of outcome.decisions) table.add(seriesOf(decision)[decision.allowed ? 0 : 1], 1);
    return outcome;
  }

  return {
    take(checks, options) {
      const outcome = limiter.take(checks, options);
      return options.probe ? outcome : mapMaybe(outcome, count);
    },
    noteRepeated: count,
    release: (leaseId, checks, degraded) => limiter.release(leaseId, checks, degraded),
  };
}

/** Returns a function that calls the upstream and measures the call. */
export function observeUpstream(
  table: MetricTable,
  clock: Pick<Clock, "monotonic">,
  fetchUpstream: UpstreamFetch,
): UpstreamFetch {
  return async (request, signal, progress) => {
    const startedAt = clock.monotonic();
    const observe = (status: string, error: string): void => {
      const labels = [methodLabel(request.method), status, error];
      table.observe(table.series(metrics.upstreamCalls, labels), (clock.monotonic() - startedAt) / 1_000);
    };
    try {
      const result = await fetchUpstream(request, signal, progress);
      if ("reason" in result) observe("", errorOf(result, signal));
      else observe(statusLabel(result.status), result.status >= 500 ? statusLabel(result.status) : "");
      return result;
    } catch (cause) {
      observe("", signal.aborted ? "aborted" : "failed");
      throw cause;
    }
  };
}

/** The failure of a call. Clients report an abort like any other failure. */
function errorOf({ isStopped, reason }: UpstreamFailure, { aborted, reason: end }: AbortSignal): string {
  if (aborted && end === "timed_out") return "timeout";
  return aborted || isStopped ? "aborted" : reason;
}

/** How long a tenant counts after its last failed request, in milliseconds. A circuit stays open while there are no calls. */
const idleMs = 300_000;

/** The largest number of tenants; as many as have circuits. Beyond it, the one that failed longest ago is forgotten. */
const maxTenants = 10_000;

/**
 * The tenants whose circuit is open. The event `upstream_down` reports only the moment at which the circuit of a tenant opens, and an alert must last as
 * long as the outage.
 */
interface OpenCircuits {
  record(event: { readonly type: string }): void;
  /** Returns the number of tenants whose circuit is open and that got a 5xx response in the last five minutes. */
  count(): number;
}

/** Creates {@link OpenCircuits} without tenants. */
export function createOpenCircuits(clock: Pick<Clock, "monotonic">): OpenCircuits {
  /** The tenant that failed longest ago comes first. */
  const failedAt = new Map<string, number>();

  function open(tenant: string): void {
    failedAt.delete(tenant);
    failedAt.set(tenant, clock.monotonic());
    const [oldest] = failedAt.keys();
    if (failedAt.size > maxTenants && oldest !== undefined) failedAt.delete(oldest);
  }

  return {
    record(event) {
      const observed = event as ProxyEvent;
      if (observed.type === "upstream_down") open(observed.tenant);
      else if (observed.type === "upstream_recovered") failedAt.delete(observed.tenant);
      else if (failedAt.size > 0 && observed.type === "request" && observed.status >= 500) {
        const { tenant } = observed;
        if (tenant !== null && failedAt.has(tenant)) open(tenant);
      }
    },
    count() {
      const since = clock.monotonic() - idleMs;
      let open = 0;
      for (const at of failedAt.values()) if (at > since) open += 1;
      return open;
    },
  };
}

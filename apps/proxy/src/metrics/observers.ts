/** Wraps the rate limiter and the upstream client to count their decisions and calls. */
import type { Clock } from "@letta-environments/platform";
import { mapMaybe } from "../lib/steps.ts";
import type { UpstreamFetch } from "../ports.ts";
import type { RateLimiter } from "../rate-limit/limiter.ts";
import type { RateLimitDecision, RateLimitOutcome } from "../rate-limit/store.ts";
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
      if ("reason" in result) observe("", result.reason);
      else observe(statusLabel(result.status), result.status >= 500 ? statusLabel(result.status) : "");
      return result;
    } catch (cause) {
      observe("", signal.aborted ? "aborted" : "failed");
      throw cause;
    }
  };
}

/** A test proxy with rate limits as a configuration file sets them. */
import { createMemoryRateLimitStore } from "../../src/adapters/memory/rate-limit-store.ts";
import type { AuditLog } from "../../src/audit/log.ts";
import type { RateLimitsFile } from "../../src/config/file.ts";
import { resolveRateLimits } from "../../src/config/resolve-rate-limits.ts";
import { observeLimiter } from "../../src/metrics/observers.ts";
import type { MetricTable } from "../../src/metrics/table.ts";
import type { JwksFetch, UpstreamFetch } from "../../src/ports.ts";
import { createRateLimiter } from "../../src/rate-limit/limiter.ts";
import type { RateLimitStore } from "../../src/rate-limit/store.ts";
import type { GatewayConfig } from "../../src/services.ts";
import type { UpstreamServer } from "../../src/upstream/settings.ts";
import { knownConnections } from "./known-connections.ts";
import { createTestProxy, emptyUpstream, type TestProxy } from "./test-proxy.ts";

/** Settings of a test besides the limits. */
export interface LimitedProxyOptions {
  readonly upstream?: UpstreamFetch;
  /** In place of `upstream`. */
  readonly server?: UpstreamServer;
  readonly store?: RateLimitStore;
  readonly audit?: AuditLog;
  readonly fetchJwks?: JwksFetch;
  /** Counts the decisions of the limits. */
  readonly metrics?: MetricTable;
  readonly config?: Partial<GatewayConfig>;
}

/** Creates a proxy with these limits. */
export function createLimitedProxy(
  file: RateLimitsFile,
  { upstream, server, store, audit, fetchJwks, metrics, config }: LimitedProxyOptions = {},
): TestProxy {
  // The test proxy creates its own virtual clock, which the limits use too.
  const clock = {
    now: () => testProxy.clock.now(),
    monotonic: () => testProxy.clock.monotonic(),
    setTimer: (...timer: Parameters<TestProxy["clock"]["setTimer"]>) => testProxy.clock.setTimer(...timer),
  };
  let limiter: ReturnType<typeof createRateLimiter> | null = null;
  const rateLimiter: ReturnType<typeof createRateLimiter> = {
    take: (...taken) => lazy().take(...taken),
    release: (...released) => lazy().release(...released),
  };
  function lazy(): ReturnType<typeof createRateLimiter> {
    const local = createMemoryRateLimitStore(clock);
    limiter ??= createRateLimiter({
      store: store ?? local,
      localStore: local,
      clock,
      onDegraded: ({ state, ...event }) =>
        void testProxy.events.push({ type: `rate_limits_${state}`, ...event } as never),
    });
    return limiter;
  }
  const testProxy = createTestProxy(upstream ?? knownConnections(emptyUpstream), {
    ports: {
      rateLimiter: metrics === undefined ? rateLimiter : observeLimiter(metrics, rateLimiter),
      ...(audit && { audit }),
      ...(server && { upstream: server }),
      ...(fetchJwks && { fetchJwks }),
    },
    config: { rateLimits: resolveRateLimits(file, true).settings, ...config },
  });
  return testProxy;
}

import { setImmediate } from "node:timers/promises";
import { systemClock } from "@letta-environments/platform/node";
import { connectValkey } from "@letta-environments/platform/valkey";
import { canLaunchValkey, launchValkey } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createMemoryRateLimitStore } from "../src/adapters/memory/rate-limit-store.ts";
import { createValkeyRateLimitStore } from "../src/adapters/valkey/rate-limit-store.ts";
import { createRateLimiter, type RateLimitStoreEvent } from "../src/rate-limit/limiter.ts";
import type { RateLimitFailureMode } from "../src/rate-limit/policy.ts";
import type { RateLimitOutcome } from "../src/rate-limit/store.ts";
import { settlesWithin } from "./support/settles-within.ts";
import { testCheck } from "./support/test-check.ts";

/** Longer than the default: on a busy machine a response that takes 100 ms is no failure. */
const deadlineMs = 500;
/** A request that waited for the connection's own timeout, a second, would exceed it. */
const latestMs = 800;
/** Larger than what the callers below can spend, so that no request is refused. */
const checks = (["local", "open"] as const).map((onStoreError) =>
  testCheck({ name: onStoreError, onStoreError, limit: 1e9, windowMs: 1e6, burst: 1e9 }),
);

describe.runIf(canLaunchValkey())("a Valkey under load that fails", () => {
  test("no request waits longer than the deadline while the server hangs, resumes, stops and restarts", async () => {
    let server = await launchValkey();
    const connection = connectValkey(server.url, { timeoutMs: 1_000, onFailure: () => undefined });
    await connection.command(["PING"]);
    const events: RateLimitStoreEvent[] = [];
    const limiter = createRateLimiter({
      store: createValkeyRateLimitStore(connection),
      localStore: createMemoryRateLimitStore(systemClock),
      clock: systemClock,
      deadlineMs,
      onDegraded: (event) => events.push(event),
    });
    let [late, wrong] = [0, 0];

    async function ask(): Promise<void> {
      const taking = Promise.resolve(limiter.take(checks, { probe: false, leaseId: null }));
      if (!(await settlesWithin(taking, latestMs))) late += 1;
      const outcome = await taking;
      if (!isAsConfigured(outcome)) wrong += 1;
      await setImmediate();
    }

    /** Runs sixteen callers that make one request after the other, until `isEnough`. */
    async function loadUntil(isEnough: () => boolean): Promise<void> {
      const endsAt = performance.now() + 20_000;
      await Promise.all(
        Array.from({ length: 16 }, async () => {
          while (!isEnough() && performance.now() < endsAt) await ask();
        }),
      );
      expect(isEnough()).toBe(true);
    }

    let asked = 0;
    await loadUntil(() => ++asked > 500);
    expect(events).toEqual([]);
    server.pause();
    await loadUntil(() => events.length === 1);
    asked = 0;
    await loadUntil(() => ++asked > 2_000);
    server.resume();
    await loadUntil(() => events.length === 2);
    await server.stop();
    await loadUntil(() => events.length === 3);
    server = await launchValkey({ port: server.port });
    await loadUntil(() => events.length === 4);

    expect(events).toMatchObject([
      { state: "degraded", reason: "timeout" },
      { state: "recovered" },
      // A command that was sent fails with the connection, and one that waits for the next connection may not get it in time.
      { state: "degraded", reason: expect.stringMatching(/^(?:error|timeout)$/) },
      { state: "recovered" },
    ]);
    expect([wrong, late]).toEqual([0, 0]);
    await connection.close();
    await server.stop();
  }, 90_000);
});

/** Whether the store decided, or each policy by its failure mode. */
function isAsConfigured({ admitted, degraded, decisions }: RateLimitOutcome): boolean {
  const modes: readonly (RateLimitFailureMode | null)[] = degraded === null ? [null, null] : ["local", "open"];
  return admitted && decisions.every((decision, index) => decision.degraded === modes[index]);
}

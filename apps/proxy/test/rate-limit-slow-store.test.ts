import { setImmediate } from "node:timers/promises";
import { systemClock } from "@letta-environments/platform/node";
import { connectValkey } from "@letta-environments/platform/valkey";
import { canLaunchValkey, createFaultProxy, launchValkey } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createMemoryRateLimitStore } from "../src/adapters/memory/rate-limit-store.ts";
import { createValkeyRateLimitStore } from "../src/adapters/valkey/rate-limit-store.ts";
import { createRateLimiter, type RateLimitStoreEvent } from "../src/rate-limit/limiter.ts";
import type { RateLimitCheck, RateLimitFailureMode } from "../src/rate-limit/policy.ts";
import type { RateLimitOutcome } from "../src/rate-limit/store.ts";
import { settlesWithin } from "./support/settles-within.ts";
import { testCheck } from "./support/test-check.ts";

const deadlineMs = 100;
/** A request that waited for a reply, which is held back for longer, would exceed it. */
const latestMs = 700;
const heldBackMs = 1_500;
/** Larger than what the callers below can spend, so that no request is refused by its limit. */
const checkOf = (onStoreError: RateLimitFailureMode): RateLimitCheck =>
  testCheck({ name: onStoreError, onStoreError, limit: 1e9, windowMs: 1e6, burst: 1e9 });
const lease = testCheck({ name: "at-once", unit: "concurrent-requests", limit: 1_000, windowMs: 600_000 });
const kinds: readonly (readonly RateLimitCheck[])[] = [
  [checkOf("local"), checkOf("open")],
  [checkOf("local"), checkOf("closed")],
  [lease],
];

describe.runIf(canLaunchValkey())("a Valkey under load that responds after the deadline", () => {
  test("no request waits longer than the deadline of a slow store, each policy follows its failure mode, and no lease is left", async () => {
    const server = await launchValkey();
    const relay = await createFaultProxy(server.port);
    const connection = connectValkey(`valkey://127.0.0.1:${relay.port}`, {
      timeoutMs: 5_000,
      onFailure: () => undefined,
    });
    await connection.command(["PING"]);
    const events: RateLimitStoreEvent[] = [];
    const limiter = createRateLimiter({
      store: createValkeyRateLimitStore(connection),
      localStore: createMemoryRateLimitStore(systemClock),
      clock: systemClock,
      deadlineMs,
      onDegraded: (event) => events.push(event),
    });
    let [asked, late, longestMs, wrong, tooLate] = [0, 0, 0, 0, 0];
    let isConnected = false;

    async function ask(): Promise<void> {
      asked += 1;
      const leaseId = `request-${asked}`;
      const checks = kinds[asked % kinds.length] ?? [];
      const startedAt = performance.now();
      const taking = Promise.resolve(limiter.take(checks, { probe: false, leaseId }));
      if (!(await settlesWithin(taking, latestMs))) tooLate += 1;
      const outcome = await taking;
      longestMs = Math.max(longestMs, performance.now() - startedAt);
      isConnected = outcome.degraded === null;
      if (outcome.degraded === "timeout") late += 1;
      if (!isAsConfigured(outcome)) wrong += 1;
      await setImmediate();
      limiter.release(leaseId, checks, outcome.degraded);
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

    // On a busy machine the first replies may be late anyway.
    await loadUntil(() => asked > 500 && isConnected);
    events.length = 0;
    [longestMs, tooLate] = [0, 0];
    relay.delayMs = heldBackMs;
    await loadUntil(() => events.length === 1);
    const lateAtFirst = late;
    // Until two of the trial requests timed out.
    await loadUntil(() => late >= lateAtFirst + 2);
    relay.delayMs = 0;
    await loadUntil(() => events.length === 2);

    expect(events).toMatchObject([{ state: "degraded", reason: "timeout" }, { state: "recovered" }]);
    expect([wrong, tooLate]).toEqual([0, 0]);
    expect(longestMs).toBeGreaterThan(deadlineMs / 2);
    // Releases were sent on the same connection before this request. On a busy machine its response may be late.
    await expect
      .poll(async () => (await limiter.take([lease], { probe: true, leaseId: null })).decisions)
      .toMatchObject([{ remaining: 1_000, degraded: null }]);
    await connection.close();
    await relay.close();
    await server.stop();
  }, 60_000);
});

/** Whether the store decided, or each policy by its failure mode. */
function isAsConfigured({ admitted, degraded, decisions }: RateLimitOutcome): boolean {
  if (degraded === null) return admitted && decisions.every((decision) => decision.degraded === null);
  const isClosed = decisions.some(({ policy }) => policy.onStoreError === "closed");
  return admitted !== isClosed && decisions.every((decision) => decision.degraded === decision.policy.onStoreError);
}

import { createVirtualClock } from "@letta-environments/testkit";
import fc from "fast-check";
import { expect, test } from "vitest";
import { testCheck } from "../../test/support/test-check.ts";
import { createMemoryRateLimitStore } from "../adapters/memory/rate-limit-store.ts";
import { createRateLimiter } from "./limiter.ts";
import { createPendingReleases } from "./pending-releases.ts";
import type { RateLimitStore } from "./store.ts";

const lease = testCheck({ unit: "concurrent-requests", limit: 1_000, windowMs: 3_600_000 });
const steps = ["begin", "begin", "end", "end", "lose", "hang", "restore", "wait"] as const;

test("after any sequence of outages the store holds exactly the leases of running requests, each released once", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...steps), { maxLength: 60 }), async (sequence) => {
      const clock = createVirtualClock();
      const memory = createMemoryRateLimitStore(clock);
      let state: "works" | "fails" | "hangs" = "works";
      const waiting: (() => void)[] = [];
      const held = new Set<string>();
      const released = new Set<string>();
      const releasedTwice: string[] = [];
      /** A call that hangs is carried out when the store works again, as by a server that was paused. */
      async function call<Result>(run: () => Result): Promise<Result> {
        if (state === "fails") throw new Error("gone");
        if (state === "hangs") await new Promise<void>((resolve) => waiting.push(resolve));
        return run();
      }
      const store: RateLimitStore = {
        take: (checks, options) =>
          call(() => {
            if (options.leaseId !== null) held.add(options.leaseId);
            released.delete(options.leaseId ?? "");
            return memory.take(checks, options);
          }),
        release: (leaseId, checks) =>
          call(() => {
            if (released.has(leaseId)) releasedTwice.push(leaseId);
            released.add(leaseId);
            held.delete(leaseId);
            memory.release(leaseId, checks);
          }),
      };
      const localStore = createMemoryRateLimitStore(clock);
      const limiter = createRateLimiter({ store, localStore, clock, onDegraded: () => undefined });
      const restore = (): void => {
        state = "works";
        waiting.splice(0).forEach((carryOut) => carryOut());
      };

      const running: { readonly leaseId: string; readonly isInStore: boolean; end: () => void }[] = [];
      for (const [index, step] of sequence.entries()) {
        if (step === "begin") {
          const leaseId = `lease-${index}`;
          const taking = limiter.take([lease], { probe: false, leaseId });
          await clock.advance(100);
          const { degraded } = await taking;
          const end = (): void => limiter.release(leaseId, [lease], degraded);
          running.push({ leaseId, isInStore: degraded === null, end });
        } else if (step === "end") running.shift()?.end();
        else if (step === "lose" && state === "works") state = "fails";
        else if (step === "hang" && state === "works") state = "hangs";
        else if (step === "restore") restore();
        else await clock.advance(700);
      }

      restore();
      await clock.advance(1_000);
      await limiter.take([testCheck({ name: "other" })], { probe: false, leaseId: null });
      await clock.advance(100);
      const expected = running.filter(({ isInStore }) => isInStore).map(({ leaseId }) => leaseId);
      expect([...held].toSorted()).toEqual(expected.toSorted());
      expect(releasedTwice).toEqual([]);
    }),
    { numRuns: 300 },
  );
});

test("more releases than requests that run at the same time drop the oldest", () => {
  const pending = createPendingReleases();
  for (let index = 0; index < 10_001; index++) pending.add({ leaseId: `${index}`, leases: [lease], expiresAtMs: 1 });
  expect(pending.takeBatch(0)[0]).toMatchObject({ leaseId: "1" });
});

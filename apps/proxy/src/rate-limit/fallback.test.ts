import { createVirtualClock } from "@letta-environments/testkit";
import fc from "fast-check";
import { expect, test } from "vitest";
import { testCheck } from "../../test/support/test-check.ts";
import { createMemoryRateLimitStore } from "../adapters/memory/rate-limit-store.ts";
import { createRateLimiter } from "./limiter.ts";
import { createPendingReleases } from "./fallback.ts";
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

test("when more releases are pending than requests may run at the same time, the oldest are dropped", () => {
  const pending = createPendingReleases();
  for (let index = 0; index < 10_001; index++) pending.add({ leaseId: `${index}`, leases: [lease], expiresAtMs: 1 });
  expect(pending.takeBatch(0)[0]).toMatchObject({ leaseId: "1" });
});

test.each(["take", "release"] as const)(
  "the %s of a later request continues the releases on runtimes whose timers end with their request, such as Workers",
  async (call) => {
    const clock = createVirtualClock();
    const memory = createMemoryRateLimitStore(clock);
    let isLost = false;
    const store: RateLimitStore = {
      take(checks, options) {
        if (isLost) throw new Error("gone");
        return memory.take(checks, options);
      },
      release: memory.release,
    };
    const limiter = createRateLimiter({
      store,
      localStore: createMemoryRateLimitStore(clock),
      clock: { monotonic: clock.monotonic, setTimer: () => () => undefined },
      onDegraded: () => undefined,
    });
    const other = testCheck({ name: "other" });
    const otherLease = testCheck({ name: "other-lease", unit: "concurrent-requests", windowMs: 3_600_000 });
    const probe = { probe: true, leaseId: null };
    const leaseIds = Array.from({ length: 50 }, (_, index) => `lease-${index}`);
    for (const leaseId of leaseIds) await limiter.take([lease], { probe: false, leaseId });
    await limiter.take([otherLease], { probe: false, leaseId: "other" });
    isLost = true;
    await limiter.take([other], probe);
    for (const leaseId of leaseIds) limiter.release(leaseId, [lease], null);
    isLost = false;
    await clock.advance(1_000);
    await limiter.take([other], probe);
    expect(memory.take([lease], probe)).toMatchObject({ decisions: [{ remaining: 982 }] });
    await clock.advance(1_000);
    if (call === "take") await limiter.take([other], probe);
    else limiter.release("other", [otherLease], null);
    await clock.advance(0);
    expect(memory.take([lease], probe)).toMatchObject({ decisions: [{ remaining: 1_000 }] });
  },
);

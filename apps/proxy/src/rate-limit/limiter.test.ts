import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { testCheck } from "../../test/support/test-check.ts";
import { createMemoryRateLimitStore } from "../adapters/memory/rate-limit-store.ts";
import { createRateLimiter, type RateLimiter, type RateLimitStoreEvent } from "./limiter.ts";
import type { RateLimitCheck } from "./policy.ts";
import type { RateLimitOutcome, RateLimitStore } from "./store.ts";

const options = { probe: false, leaseId: null };

interface Subject {
  readonly clock: VirtualClock;
  readonly limiter: RateLimiter;
  readonly events: RateLimitStoreEvent[];
  /** The behaviour of the store in the next calls. */
  behaviour: "succeed" | "hang" | "reject" | "throw";
  failReleases: "reject" | "throw" | null;
  readonly calls: { takes: number; releases: string[] };
  /** Completes the calls that hang. */
  completeLate(): void;
}

function setUp(instances = 1): Subject {
  const clock = createVirtualClock();
  const shared = createMemoryRateLimitStore(clock);
  const events: RateLimitStoreEvent[] = [];
  const late: (() => void)[] = [];
  const calls = { takes: 0, releases: [] as string[] };
  const store: RateLimitStore = {
    take(checks, takeOptions) {
      calls.takes += 1;
      if (subject.behaviour === "throw") throw new Error("busy");
      if (subject.behaviour === "reject") return Promise.reject(new Error("gone"));
      if (subject.behaviour === "succeed") return Promise.resolve(shared.take(checks, takeOptions));
      return new Promise((resolve) => late.push(() => resolve(shared.take(checks, takeOptions))));
    },
    release(leaseId, checks) {
      calls.releases.push(leaseId);
      if (subject.failReleases === "throw") throw new Error("busy");
      if (subject.failReleases === "reject" || subject.behaviour !== "succeed")
        return Promise.reject(new Error("gone"));
      return shared.release(leaseId, checks);
    },
  };
  const localStore = createMemoryRateLimitStore(clock);
  const subject: Subject = {
    clock,
    limiter: createRateLimiter({ store, localStore, clock, instances, onDegraded: (event) => events.push(event) }),
    events,
    behaviour: "succeed",
    failReleases: null,
    calls,
    completeLate: () => late.splice(0).forEach((complete) => complete()),
  };
  return subject;
}

async function take(subject: Subject, ...checks: readonly RateLimitCheck[]): Promise<RateLimitOutcome> {
  return subject.limiter.take(checks, options);
}

describe("rate limiters", () => {
  test("a rate limiter decides synchronously if its store does, and if there is nothing to check", () => {
    const clock = createVirtualClock();
    const store = createMemoryRateLimitStore(clock);
    const limiter = createRateLimiter({ store, localStore: store, clock, onDegraded: () => undefined });
    expect(limiter.take([testCheck()], options)).toMatchObject({ admitted: true, degraded: null });
    expect(limiter.take([], options)).toEqual({ admitted: true, decisions: [], constrained: null, degraded: null });
    expect(clock.timerCount).toBe(0);
  });

  test("a rate limiter cancels its timer when the store responds in time", async () => {
    const subject = setUp();
    expect(await take(subject, testCheck())).toMatchObject({ admitted: true, degraded: null });
    expect(subject.clock.timerCount).toBe(0);
  });

  test("a rate limiter waits for a store that hangs until the deadline, and does not call it during the cool-down", async () => {
    const subject = setUp();
    subject.behaviour = "hang";
    const first = take(subject, testCheck());
    await subject.clock.advance(99);
    expect(await Promise.race([first, Promise.resolve("waiting")])).toBe("waiting");
    await subject.clock.advance(1);
    expect(await first).toMatchObject({
      admitted: true,
      degraded: "timeout",
      decisions: [{ degraded: "local", remaining: 9 }],
    });
    await subject.clock.advance(999);
    expect(await take(subject, testCheck())).toMatchObject({ degraded: "unavailable" });
    expect(subject.calls.takes).toBe(1);
  });

  test("a rate limiter sends one request after each cool-down, and reports the outage and the recovery of the store once each", async () => {
    const subject = setUp();
    subject.behaviour = "reject";
    for (let request = 0; request < 5; request++) await take(subject, testCheck());
    await subject.clock.advance(1_000);
    await Promise.all(Array.from({ length: 5 }, () => take(subject, testCheck())));
    expect(subject.calls.takes).toBe(2);
    subject.behaviour = "succeed";
    await subject.clock.advance(1_000);
    const outcomes = await Promise.all(Array.from({ length: 3 }, () => take(subject, testCheck())));
    expect(outcomes.map(({ degraded }) => degraded)).toEqual([null, "unavailable", "unavailable"]);
    expect(await take(subject, testCheck())).toMatchObject({ degraded: null });
    expect(subject.events).toMatchObject([
      { state: "degraded", reason: "error", cause: new Error("gone") },
      { state: "recovered", durationMs: 2_000 },
    ]);
  });

  test.each(["reject", "throw"] as const)(
    "a rate limiter decides each policy by its failure mode if the store fails (%s)",
    async (behaviour) => {
      const subject = setUp();
      subject.behaviour = behaviour;
      const [local, open, closed] = (["local", "open", "closed"] as const).map((onStoreError) =>
        testCheck({ name: onStoreError, onStoreError }),
      );
      if (local === undefined || open === undefined || closed === undefined) throw new Error("unreachable");
      expect(await take(subject, local, open)).toMatchObject({
        admitted: true,
        degraded: "error",
        decisions: [
          { allowed: true, remaining: 9, degraded: "local" },
          { allowed: true, remaining: null, degraded: "open" },
        ],
      });
      expect(await take(subject, local, open, closed)).toMatchObject({
        admitted: false,
        degraded: "unavailable",
        constrained: { policy: { name: "closed" }, retryAfterMs: 1_000 },
        // The closed policy refused, so the local one was not charged.
        decisions: [{ remaining: 9 }, { allowed: true }, { allowed: false, degraded: "closed" }],
      });
    },
  );

  test("a closed shadow policy refuses no request if the store fails", async () => {
    const subject = setUp();
    subject.behaviour = "reject";
    const shadow = testCheck({ name: "shadow", mode: "shadow", onStoreError: "closed" });
    expect(await take(subject, shadow)).toMatchObject({ admitted: true, decisions: [{ allowed: false }] });
  });

  test("several processes together admit no more than the limit while each decides locally", async () => {
    let admitted = 0;
    let leases = 0;
    for (const subject of Array.from({ length: 4 }, () => setUp(4))) {
      subject.behaviour = "reject";
      for (let request = 0; request < 20; request++) {
        const lease = testCheck({ name: "leases", unit: "concurrent-requests" });
        const outcome = await subject.limiter.take([lease], { probe: false, leaseId: `${request}` });
        if (outcome.admitted) leases += 1;
      }
      for (let tenth = 0; tenth < 40; tenth++) {
        for (let request = 0; request < 3; request++) if ((await take(subject, testCheck())).admitted) admitted += 1;
        await subject.clock.advance(100);
      }
    }
    // Of a burst of 10 each has 2 whole units, of 10 units a second 2.5: after 3.9 seconds 2 and 9.
    expect([admitted, leases]).toEqual([44, 8]);
  });

  test("while the store fails, one request runs at a time, even with more processes than the limit", async () => {
    const subject = setUp(4);
    subject.behaviour = "reject";
    const lease = testCheck({ unit: "concurrent-requests", limit: 2 });
    const takeLease = (leaseId: string) => subject.limiter.take([lease], { probe: false, leaseId });
    expect([(await takeLease("a")).admitted, (await takeLease("b")).admitted]).toEqual([true, false]);
  });

  test("a request that costs more than a process's share is admitted if the share is full, and empties it", async () => {
    const subject = setUp(4);
    subject.behaviour = "reject";
    expect((await take(subject, testCheck({}, "somebody", 5))).admitted).toBe(true);
    expect(await take(subject, testCheck())).toMatchObject({ admitted: false, decisions: [{ remaining: 0 }] });
    expect(await take(subject, testCheck({}, "other", 11))).toMatchObject({ decisions: [{ retryAfterMs: null }] });
  });

  test("a rate limiter releases a lease that the store granted after the deadline", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests", limit: 1 });
    subject.behaviour = "hang";
    const decided = subject.limiter.take([lease], { probe: false, leaseId: "late" });
    await subject.clock.advance(100);
    expect(await decided).toMatchObject({ admitted: true, degraded: "timeout" });
    subject.behaviour = "succeed";
    subject.completeLate();
    await subject.clock.advance(2_000);
    expect(subject.calls.releases).toEqual(["late"]);
    expect(await subject.limiter.take([lease], { probe: false, leaseId: "next" })).toMatchObject({ admitted: true });
  });

  test.each(["hang", "reject"] as const)(
    "a probe releases no lease of the request that it is for, even if the store fails (%s)",
    async (behaviour) => {
      const subject = setUp();
      subject.behaviour = behaviour;
      const lease = testCheck({ unit: "concurrent-requests", windowMs: 60_000 });
      const decided = subject.limiter.take([lease], { probe: true, leaseId: "running" });
      await subject.clock.advance(100);
      expect(await decided).toMatchObject({ degraded: behaviour === "hang" ? "timeout" : "error" });
      subject.behaviour = "succeed";
      subject.completeLate();
      await subject.clock.advance(1_000);
      await take(subject, testCheck());
      await subject.clock.advance(0);
      expect(subject.calls.releases).toEqual([]);
    },
  );

  test("a rate limiter releases local leases although the store fails", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests", limit: 1 });
    subject.behaviour = "reject";
    const takeLease = (leaseId: string) => subject.limiter.take([lease], { probe: false, leaseId });
    expect([(await takeLease("a")).admitted, (await takeLease("b")).admitted]).toEqual([true, false]);
    subject.limiter.release("a", [lease, testCheck()], "error");
    expect((await takeLease("b")).admitted).toBe(true);
  });

  test("a rate limiter releases no lease in a store that was not called for it", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests", windowMs: 60_000 });
    subject.behaviour = "reject";
    for (const leaseId of ["asked", "not-asked", "not-asked-either"]) {
      const { degraded } = await subject.limiter.take([lease], { probe: false, leaseId });
      subject.limiter.release(leaseId, [lease], degraded);
    }
    subject.behaviour = "succeed";
    await subject.clock.advance(1_000);
    await take(subject, testCheck());
    expect(subject.calls.releases).toEqual(["asked"]);
  });

  test.each(["error", "timeout"] as const)(
    "a rate limiter releases the leases of requests that ended during an outage (%s) once, when the store is back",
    async (kind) => {
      const subject = setUp();
      const lease = testCheck({ unit: "concurrent-requests", limit: 250, windowMs: 120_000 });
      const leaseIds = Array.from({ length: 250 }, (_, index) => `lease-${index}`);
      for (const leaseId of leaseIds) await subject.limiter.take([lease], { probe: false, leaseId });
      subject.behaviour = kind === "error" ? "throw" : "hang";
      const lost = take(subject, testCheck());
      await subject.clock.advance(100);
      expect(await lost).toMatchObject({ degraded: kind });
      for (const leaseId of leaseIds) subject.limiter.release(leaseId, [lease], null);
      // No call to the store while it is known to fail.
      expect(subject.calls.releases).toEqual([]);
      subject.behaviour = "succeed";
      await subject.clock.advance(1_000);
      expect(await take(subject, testCheck())).toMatchObject({ degraded: null });
      await subject.clock.advance(10);
      expect(await take(subject, lease)).toMatchObject({ decisions: [{ remaining: 249 }] });
      expect(subject.calls.releases).toEqual(leaseIds);
    },
  );

  test("a release that fails opens the circuit breaker, and is repeated when the store is back", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests", limit: 2, windowMs: 60_000 });
    for (const leaseId of ["a", "b"]) await subject.limiter.take([lease], { probe: false, leaseId });
    subject.behaviour = "reject";
    subject.limiter.release("a", [lease], null);
    await subject.clock.advance(0);
    expect(subject.events).toMatchObject([{ state: "degraded", reason: "error" }]);
    subject.limiter.release("b", [lease], null);
    subject.behaviour = "succeed";
    await subject.clock.advance(999);
    await take(subject, lease);
    expect(subject.calls.releases).toEqual(["a"]);
    await subject.clock.advance(1);
    await take(subject, testCheck());
    await subject.clock.advance(0);
    expect(subject.calls.releases.toSorted()).toEqual(["a", "a", "b"]);
    expect(await take(subject, lease)).toMatchObject({ decisions: [{ remaining: 1 }] });
  });

  test("leases that cannot be released cost other requests one cool-down in total, not one per lease", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests", limit: 2, windowMs: 60_000 });
    await subject.limiter.take([lease], { probe: false, leaseId: "stuck" });
    subject.failReleases = "reject";
    subject.limiter.release("stuck", [lease], null);
    await subject.clock.advance(0);
    expect(await take(subject, testCheck())).toMatchObject({ degraded: "unavailable" });
    for (let second = 0; second < 20; second++) {
      await subject.clock.advance(1_000);
      expect(await take(subject, testCheck())).toMatchObject({ degraded: null });
    }
    expect(subject.events.map(({ state }) => state)).toEqual(["degraded", "recovered"]);
    expect(subject.calls.releases).toEqual(["stuck", "stuck"]);
    // It counts until it expires.
    expect(await take(subject, lease)).toMatchObject({ decisions: [{ remaining: 0 }] });
    await subject.clock.advance(40_000);
    expect(await take(subject, lease)).toMatchObject({ decisions: [{ remaining: 1 }] });
  });

  test("a store that fails again during the releases after an outage loses one batch, and keeps the rest until it responds again", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests", limit: 150, windowMs: 120_000 });
    const leaseIds = Array.from({ length: 150 }, (_, index) => `lease-${index}`);
    for (const leaseId of leaseIds) await subject.limiter.take([lease], { probe: false, leaseId });
    subject.behaviour = "reject";
    await take(subject, testCheck());
    for (const leaseId of leaseIds) subject.limiter.release(leaseId, [lease], null);
    await subject.clock.advance(1_000);
    subject.failReleases = "reject";
    subject.behaviour = "succeed";
    await take(subject, testCheck());
    await subject.clock.advance(0);
    expect(subject.calls.releases).toHaveLength(32);
    subject.failReleases = null;
    await subject.clock.advance(1_000);
    await take(subject, testCheck());
    await subject.clock.advance(10);
    expect(await take(subject, lease)).toMatchObject({ decisions: [{ remaining: 149 - 32 }] });
    expect(subject.calls.releases).toEqual(leaseIds);
  });

  test("a store that throws during a release is not called for the rest of the batch, because each call may block the process", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests", windowMs: 120_000 });
    const leaseIds = Array.from({ length: 5 }, (_, index) => `lease-${index}`);
    for (const leaseId of leaseIds) await subject.limiter.take([lease], { probe: false, leaseId });
    subject.behaviour = "reject";
    await take(subject, testCheck());
    for (const leaseId of leaseIds) subject.limiter.release(leaseId, [lease], null);
    [subject.behaviour, subject.failReleases] = ["succeed", "throw"];
    await subject.clock.advance(1_000);
    await take(subject, testCheck());
    expect(subject.calls.releases).toEqual(leaseIds.slice(0, 1));
    subject.failReleases = null;
    await subject.clock.advance(1_000);
    await take(subject, testCheck());
    await subject.clock.advance(0);
    expect(subject.calls.releases).toEqual(leaseIds);
  });

  test("a rate limiter forgets pending releases whose leases have expired in the store", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests", windowMs: 5_000 });
    await subject.limiter.take([lease], { probe: false, leaseId: "expired" });
    subject.behaviour = "reject";
    await take(subject, testCheck());
    subject.limiter.release("expired", [lease], null);
    subject.behaviour = "succeed";
    await subject.clock.advance(5_000);
    expect(await take(subject, testCheck())).toMatchObject({ degraded: null });
    await subject.clock.advance(0);
    expect(subject.calls.releases).toEqual([]);
  });

  test("failed releases do not prolong the cool-down", async () => {
    const subject = setUp();
    const lease = testCheck({ unit: "concurrent-requests" });
    subject.behaviour = "reject";
    await take(subject, testCheck());
    for (let index = 0; index < 20; index++) {
      subject.limiter.release(`${index}`, [lease], null);
      await subject.clock.advance(50);
    }
    subject.behaviour = "succeed";
    expect(await take(subject, testCheck())).toMatchObject({ degraded: null });
  });

  test.each([-86_400_000, 86_400_000])(
    "a wall clock that is set by %i ms neither prolongs nor ends the cool-down, and is not part of the reported outage",
    async (byMs) => {
      const subject = setUp();
      subject.behaviour = "reject";
      await take(subject, testCheck());
      subject.clock.shiftWallTime(byMs);
      await subject.clock.advance(999);
      expect(await take(subject, testCheck())).toMatchObject({ degraded: "unavailable" });
      subject.behaviour = "succeed";
      await subject.clock.advance(1);
      expect(await take(subject, testCheck())).toMatchObject({ degraded: null });
      expect(subject.events).toMatchObject([{ state: "degraded" }, { state: "recovered", durationMs: 1_000 }]);
    },
  );
});

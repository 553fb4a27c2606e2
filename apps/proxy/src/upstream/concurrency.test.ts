import { createVirtualClock } from "@letta-environments/testkit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type ConcurrencyLimits, createConcurrencyLimit, overdueMs, type Priority, priorityOf } from "./concurrency.ts";

const never = new AbortController().signal;
const timeoutMs = 10_000;
const neverEnding = { atMs: Infinity, signal: never };

function createWorld(limits: Partial<ConcurrencyLimits> = {}) {
  const clock = createVirtualClock();
  const limit = createConcurrencyLimit(clock, {
    total: 2,
    perTenant: 2,
    maxWaitMs: 500,
    maxWaitingPerTenant: 3,
    ...limits,
  });
  /** The outcome of each call, in order. */
  const log: string[] = [];
  const releases = new Map<string, () => void>();
  return {
    clock,
    log,
    call(name: string, tenant = "one", priority: Priority = 1, signal = never): void {
      const deadline = { atMs: clock.monotonic() + timeoutMs, signal };
      void Promise.resolve(limit.acquire(tenant, priority, deadline)).then((release) => {
        log.push(`${name} ${release === null ? "refused" : "runs"}`);
        if (release !== null) releases.set(name, release);
      });
    },
    end(name: string): void {
      releases.get(name)?.();
    },
    settle: () => clock.advance(0),
  };
}

describe("calls to the upstream", () => {
  test("calls to the upstream run up to the limit, and the next one runs when one has ended", async () => {
    const world = createWorld();
    for (const name of ["a", "b", "c"]) world.call(name);
    await world.settle();
    expect(world.log).toEqual(["a runs", "b runs"]);
    world.end("a");
    world.end("a");
    await world.settle();
    expect(world.log).toEqual(["a runs", "b runs", "c runs"]);
    world.call("d");
    await world.settle();
    expect(world.log).toHaveLength(3);
  });

  test("calls to the upstream count as ended some seconds after their deadline, in case a cancelled call never reports its end", async () => {
    const world = createWorld({ perTenant: 1, maxWaitMs: 0 });
    world.call("a");
    await world.clock.advance(timeoutMs + overdueMs);
    world.call("b");
    await world.clock.advance(1);
    world.call("c");
    await world.settle();
    expect(world.log).toEqual(["a runs", "b refused", "c runs"]);
    // The late end of the first call must not count as that of the other.
    world.end("a");
    world.call("d");
    await world.settle();
    expect(world.log.slice(3)).toEqual(["d refused"]);
  });

  test("calls of a tenant at its limit wait, and those of other tenants run", async () => {
    const world = createWorld({ perTenant: 1 });
    world.call("a");
    world.call("b");
    world.call("c", "two");
    await world.settle();
    expect(world.log).toEqual(["a runs", "c runs"]);
    world.end("c");
    await world.settle();
    expect(world.log).toHaveLength(2);
    world.end("a");
    await world.settle();
    expect(world.log.at(-1)).toBe("b runs");
  });

  test("waiting calls run by priority: sends, then devices, then lists", async () => {
    const world = createWorld({ total: 1 });
    world.call("a");
    world.call("list", "one", priorityOf("listEnvironments"));
    world.call("device", "one", priorityOf("retrieveEnvironment"));
    world.call("send", "one", priorityOf("sendMessage"));
    await world.settle();
    for (const name of ["a", "send", "device"]) {
      world.end(name);
      await world.settle();
    }
    expect(world.log).toEqual(["a runs", "send runs", "device runs", "list runs"]);
  });

  test("calls are refused when they have waited too long, or too many wait, the least important ones first", async () => {
    const world = createWorld({ total: 1, maxWaitingPerTenant: 2 });
    world.call("a");
    for (const name of ["list 1", "list 2", "list 3"]) world.call(name, "one", 2);
    world.call("send", "one", 0);
    world.call("list of another", "two", 2);
    await world.settle();
    expect(world.log).toEqual(["a runs", "list 3 refused", "list 2 refused"]);
    await world.clock.advance(500);
    expect(world.log.slice(3)).toEqual(["list 1 refused", "send refused", "list of another refused"]);
    expect(world.clock.timerCount).toBe(0);
  });

  test("calls stop waiting when they are aborted, and do not wait at all on runtimes where requests must not wait for each other", async () => {
    const world = createWorld({ total: 1 });
    const caller = new AbortController();
    world.call("a");
    world.call("b", "one", 1, caller.signal);
    caller.abort();
    await world.settle();
    expect(world.log).toEqual(["a runs", "b refused"]);
    const alone = createWorld({ total: 1, maxWaitMs: 0 });
    alone.call("a");
    alone.call("b");
    await alone.settle();
    expect(alone.log).toEqual(["a runs", "b refused"]);
  });

  test("calls never exceed a limit, and all of them end, in any order of events", async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("call" as const), tenant: fc.nat(2), priority: fc.constantFrom(0, 1, 2) }),
      fc.record({ kind: fc.constant("end" as const) }),
      fc.record({ kind: fc.constant("wait" as const), ms: fc.nat(400) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const clock = createVirtualClock();
        const limit = createConcurrencyLimit(clock, { total: 4, perTenant: 2, maxWaitMs: 500, maxWaitingPerTenant: 5 });
        const running: { readonly tenant: string; readonly release: () => void }[] = [];
        let pending = 0;
        for (const event of steps) {
          if (event.kind === "call") {
            const tenant = `t${event.tenant}`;
            pending += 1;
            void Promise.resolve(limit.acquire(tenant, event.priority as Priority, neverEnding)).then((release) => {
              pending -= 1;
              if (release !== null) running.push({ tenant, release });
            });
          } else if (event.kind === "end") running.shift()?.release();
          await clock.advance(event.kind === "wait" ? event.ms : 0);
          expect(running.length).toBeLessThanOrEqual(4);
          for (const tenant of ["t0", "t1", "t2"]) {
            expect(running.filter((call) => call.tenant === tenant).length).toBeLessThanOrEqual(2);
          }
        }
        await clock.advance(500);
        expect([pending, clock.timerCount]).toEqual([0, 0]);
      }),
      { numRuns: 50 },
    );
  });
});

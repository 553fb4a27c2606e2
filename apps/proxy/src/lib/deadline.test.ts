import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { runWithDeadline } from "./deadline.ts";

function setUp() {
  const clock = createVirtualClock();
  const caller = new AbortController();
  return { clock, caller, deadline: { atMs: clock.monotonic() + 100, signal: caller.signal } };
}

const never = new Promise<never>(() => undefined);

test("work that ends in time returns its result and leaves no timer", async () => {
  const { clock, deadline } = setUp();
  expect(await runWithDeadline(clock, deadline, () => Promise.resolve(1))).toEqual({ kind: "finished", result: 1 });
  expect(clock.timerCount).toBe(0);
});

test("the deadline ends work that ignores its signal", async () => {
  const { clock, deadline } = setUp();
  let signal: AbortSignal | undefined;
  const outcome = runWithDeadline(clock, deadline, (given) => {
    signal = given;
    return never;
  });
  await clock.advance(99);
  expect(signal?.aborted).toBe(false);
  await clock.advance(1);
  expect(await outcome).toEqual({ kind: "timed_out" });
  expect(signal?.aborted).toBe(true);
});

test("a client that disconnects ends the work", async () => {
  const { clock, caller, deadline } = setUp();
  let signal: AbortSignal | undefined;
  const outcome = runWithDeadline(clock, deadline, (given) => {
    signal = given;
    return never;
  });
  caller.abort();
  expect(await outcome).toEqual({ kind: "caller_gone" });
  expect(signal?.aborted).toBe(true);
  expect(clock.timerCount).toBe(0);
});

test("work does not begin after its deadline or after the client has disconnected", async () => {
  const { clock, caller, deadline } = setUp();
  const run = (): Promise<never> => Promise.reject(new Error("was run"));
  expect(await runWithDeadline(clock, { ...deadline, atMs: clock.monotonic() }, run)).toEqual({ kind: "timed_out" });
  caller.abort();
  expect(await runWithDeadline(clock, deadline, run)).toEqual({ kind: "caller_gone" });
});

test("a failure of the work rejects, unless it comes after the deadline", async () => {
  const { clock, deadline } = setUp();
  await expect(runWithDeadline(clock, deadline, () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  const late = runWithDeadline(
    clock,
    deadline,
    (signal) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("late")))),
  );
  await clock.advance(100);
  expect(await late).toEqual({ kind: "timed_out" });
});

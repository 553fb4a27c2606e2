import { expect, test } from "vitest";
import { createAnchoredNow, sleep } from "./clock.ts";

test("anchored time starts at the wall time and ignores later changes of the wall clock", () => {
  let [wallMs, monotonicMs] = [1_800_000_000_000.5, 70];
  const now = createAnchoredNow({ now: () => wallMs, monotonic: () => monotonicMs });
  expect(now()).toBe(1_800_000_000_000);
  monotonicMs += 1_000;
  for (const jumpMs of [-86_400_000, 200_000_000]) {
    wallMs += jumpMs;
    expect(now()).toBe(1_800_000_001_000);
  }
});

test("an aborted sleep resolves at once and leaves no timer", async () => {
  const [timers, caller] = [new Set<() => void>(), new AbortController()];
  const setTimer = (_delayMs: number, run: () => void): (() => void) => {
    timers.add(run);
    return () => timers.delete(run);
  };
  const sleeping = sleep({ setTimer }, 1_000, caller.signal);
  caller.abort();
  await sleeping;
  await sleep({ setTimer }, 1_000, caller.signal);
  expect(timers.size).toBe(0);
});

import { expect, test } from "vitest";
import { createAnchoredNow } from "./clock.ts";

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

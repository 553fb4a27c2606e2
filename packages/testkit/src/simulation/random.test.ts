import { expect, test } from "vitest";
import { createRandom } from "./random.ts";

test("the same seed gives the same choices, and another seed gives others", () => {
  const choices = (seed: number): readonly number[] => {
    const random = createRandom(seed);
    return Array.from({ length: 20 }, () => random.below(1_000));
  };
  expect(choices(7)).toEqual(choices(7));
  expect(choices(7)).not.toEqual(choices(8));
});

test("items are picked in proportion to their weights, and an item without weight is never picked", () => {
  const random = createRandom(1);
  const counts = { often: 0, seldom: 0, never: 0 };
  for (let count = 0; count < 1_000; count++) {
    counts[
      random.pickWeighted([
        [0, "never"],
        [9, "often"],
        [1, "seldom"],
      ] as const)
    ] += 1;
  }
  expect(counts.never).toBe(0);
  expect(counts.seldom).toBeGreaterThan(50);
  expect(counts.often).toBeGreaterThan(800);
});

import { expect, test } from "vitest";
import { quantile, summarise, welchT } from "./statistics.ts";

test("a summary is the smallest, the middle and the largest sample", () => {
  expect(summarise([5, 1, 9])).toEqual({ min: 1, median: 5, max: 9 });
  expect(summarise([4, 1, 2, 9])).toEqual({ min: 1, median: 3, max: 9 });
  expect(summarise([7])).toEqual({ min: 7, median: 7, max: 7 });
  expect(() => summarise([])).toThrow(RangeError);
});

test("a quantile is the sample with that fraction of the others below it", () => {
  expect(quantile([3, 1, 2, 4], 0)).toBe(1);
  expect(quantile([3, 1, 2, 4], 0.5)).toBe(3);
  expect(quantile([3, 1, 2, 4], 1)).toBe(4);
});

// A published worked example of the unequal-variances test: means 20.8 and 23.0, variances 7.9 and 3.8, 15 samples each.
test("Welch's t agrees with a published example", () => {
  const first = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9, 16.9, 20.1, 21.9, 22.6, 23.1, 19.6, 19.0, 21.7, 21.4];
  const second = [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8, 22.0, 24.8, 20.2, 21.9, 22.1, 22.9, 20.5, 24.4];
  expect(welchT(first, second)).toBeCloseTo(-2.46, 2);
});

test("Welch's t of a series with itself is 0", () => {
  expect(welchT([1, 2, 3], [1, 2, 3])).toBe(0);
});

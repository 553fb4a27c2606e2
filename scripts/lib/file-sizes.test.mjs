import { expect, test } from "vitest";
import { judgeFileSizes, percentile } from "./file-sizes.mjs";

/** @param {number} lines */
const source = (lines) => ({ path: `src/${lines}.ts`, lines, isTest: false });

test("short files pass", () => {
  expect(judgeFileSizes([source(10), source(90), source(250)]).problems).toEqual([]);
});

test("a file over the maximum is named, a test too", () => {
  const { problems } = judgeFileSizes([{ path: "src/long.test.ts", lines: 401, isTest: true }, source(1)]);
  expect(problems).toEqual(["src/long.test.ts: 401 lines, at most 400"]);
});

test("median and 90th percentile are those of the source alone", () => {
  const long = [source(91), source(91), source(251), { path: "a.test.ts", lines: 1, isTest: true }];
  expect(judgeFileSizes(long).problems).toEqual([
    "median of the source is 91 lines, at most 90",
    "90th percentile of the source is 251 lines, at most 250",
  ]);
});

test("percentiles are nearest-rank, and zero of nothing", () => {
  expect(percentile([4, 1, 3, 2], 0.5)).toBe(2);
  expect(percentile([4, 1, 3, 2], 0.9)).toBe(4);
  expect(percentile([], 0.5)).toBe(0);
});

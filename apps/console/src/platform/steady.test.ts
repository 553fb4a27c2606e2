import { expect, test } from "vitest";
import { isMove, type Place } from "./steady.ts";

const before: Place = { top: 100, offset: 400, height: 2_000 };

test.each<readonly [string, Place, boolean]>([
  ["stays", before, false],
  ["is pushed down by something above", { ...before, top: 150, offset: 450, height: 2_050 }, true],
  ["takes the place of something above, while as much is added below", { ...before, top: 50, offset: 350 }, true],
  ["is scrolled", { ...before, top: 0 }, false],
  ["is scrolled while something is added below", { ...before, top: 0, height: 2_300 }, false],
  ["is scrolled by the browser because the page became shorter", { ...before, top: 200, height: 1_900 }, true],
  ["is held where it is while something is added above", { ...before, offset: 600, height: 2_200 }, false],
])("content that %s counts as a move only if the reader could not expect it", (_what, after, expected) => {
  expect(isMove(before, after)).toBe(expected);
});

import { expect, test } from "vitest";
import { memoizeRecent } from "./memoize-text.ts";

function counted() {
  const computed: string[] = [];
  const lastOf = memoizeRecent((text) => {
    computed.push(text);
    return { last: text.at(-1) };
  });
  return { computed, lastOf };
}

const textOf = (ending: string, length = 4_000): string => "x".repeat(length - ending.length) + ending;

test("the result of a long text is computed once", () => {
  const { computed, lastOf } = counted();
  const first = lastOf(textOf("a"));
  expect(lastOf(textOf("a"))).toBe(first);
  expect(computed).toHaveLength(1);
});

test("a text that differs in one character has its own result, and replaces the earlier one", () => {
  const { computed, lastOf } = counted();
  expect([lastOf(textOf("a")), lastOf(textOf("b")), lastOf(textOf("a"))]).toEqual([
    { last: "a" },
    { last: "b" },
    { last: "a" },
  ]);
  expect(computed).toHaveLength(3);
});

test("texts of different lengths are remembered side by side", () => {
  const { computed, lastOf } = counted();
  for (const ending of ["a", "bb", "a", "bb"]) lastOf(textOf(ending, 4_000 + ending.length));
  expect(computed).toHaveLength(2);
});

test("a function that throws throws each time", () => {
  const fail = memoizeRecent(() => {
    throw new Error("not a list");
  });
  expect(() => fail(textOf("a"))).toThrow("not a list");
  expect(() => fail(textOf("a"))).toThrow("not a list");
});

test("the texts that are remembered have at most a million characters in all, the newest ones", () => {
  const { computed, lastOf } = counted();
  const lengths = Array.from({ length: 12 }, (_, index) => 100_000 + index);
  for (const length of lengths) lastOf(textOf("a", length));
  expect(computed).toHaveLength(12);
  lastOf(textOf("a", 100_011));
  expect(computed).toHaveLength(12);
  lastOf(textOf("a", 100_000));
  expect(computed).toHaveLength(13);
});

test("short texts and very long ones are not remembered", () => {
  const { computed, lastOf } = counted();
  for (const length of [100, 100, 300_000, 300_000]) lastOf(textOf("a", length));
  expect(computed).toHaveLength(4);
});

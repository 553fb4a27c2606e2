import process from "node:process";
import { expect, test } from "vitest";
import { remember, splitList } from "./list.ts";

test("commas in quoted strings do not separate elements, and empty elements are dropped", () => {
  expect(splitList('a, "b, \\"c", ,\td')).toEqual(["a", '"b, \\"c"', "d"]);
});

test("a quote that is never closed is an ordinary character", () => {
  expect(splitList('a, "b, c')).toEqual(["a", '"b', "c"]);
  expect(splitList('"a", "\\"b, \\"c')).toEqual(['"a"', '"\\"b', '\\"c']);
});

test("a list is split in time that is proportional to its length, whatever a client sends", () => {
  const before = process.cpuUsage();
  for (const hostile of [`"${'\\"'.repeat(100_000)}`, '",'.repeat(100_000), `a${" ".repeat(200_000)}b`])
    splitList(hostile);
  expect(process.cpuUsage(before).user).toBeLessThan(500_000);
});

test("remember computes a short text once and a long text each time", () => {
  const computed: string[] = [];
  const measure = remember((text) => {
    computed.push(text);
    return text.length;
  });
  const long = "x".repeat(1_000);
  expect([measure("a"), measure("a"), measure(long), measure(long)]).toEqual([1, 1, 1_000, 1_000]);
  expect(computed).toEqual(["a", long, long]);
});

test("remember clears its memory when there are too many texts", () => {
  let count = 0;
  const counted = remember(() => ++count);
  for (let index = 0; index < 512; index++) counted(String(index));
  expect(counted("0")).toBe(1);
  counted("one more");
  expect(counted("0")).toBe(514);
});

import { expect, test } from "vitest";
import { readPreferredWait } from "./prefer.ts";

test("readPreferredWait reads the preference wait, and limits it to 60 seconds", () => {
  expect(readPreferredWait("wait=10")).toBe(10);
  expect(readPreferredWait('respond-async, Wait = "5"; x=1')).toBe(5);
  expect(readPreferredWait("wait=0, wait=9")).toBe(0);
  expect(readPreferredWait("wait=3600")).toBe(60);
  expect(readPreferredWait('x="a, wait=5, \\", wait=6", wait=7; y="a, b"')).toBe(7);
});

test("readPreferredWait ignores everything else", () => {
  const others = [
    null,
    undefined,
    "",
    "wait",
    "wait=",
    "wait=-1",
    "wait=1.5",
    "wait=x",
    "waits=1",
    "x=wait=1",
    "wait=1234567890",
    'x="a, wait=5, b"',
    'x="a\\", wait=5, b"',
    'x="a, wait=5',
  ];
  for (const header of others) expect(readPreferredWait(header)).toBeNull();
});

import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { connectionCapacity, openFileLimit, parseLimit } from "./open-files.ts";

test("the limit on open files is the one that the shell reports", () => {
  const shown = execFileSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }).trim();
  expect(openFileLimit()).toBe(shown === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(shown));
});

test.each([
  [300, 300],
  ["1024", 1_024],
  ["unlimited", Number.MAX_SAFE_INTEGER],
  [undefined, null],
  [null, null],
  ["", null],
  [-1, null],
  [{}, null],
])("a limit of %j is read as %s", (value, expected) => {
  expect(parseLimit(value)).toBe(expected);
});

test.each([
  [300, { upstream: 78, inbound: 158 }],
  [1_024, { upstream: 256, inbound: 704 }],
  [65_536, { upstream: 256, inbound: 65_216 }],
  [64, { upstream: 2, inbound: 6 }],
])("the limit of %d files reserves %j for connections, and leaves some free", (limit, expected) => {
  expect(connectionCapacity(limit)).toEqual(expected);
});

import { execFileSync } from "node:child_process";
import process from "node:process";
import { expect, onTestFinished, test, vi } from "vitest";
import { connectionCapacity, openFileLimit, parseLimit } from "./open-files.ts";

test("the limit on open files is the one that the shell reports", () => {
  const shown = execFileSync("sh", ["-c", "ulimit -n"], { encoding: "utf8" }).trim();
  expect(openFileLimit()).toBe(shown === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(shown));
});

test("where the system does not show the limit in a file, it is that of Node's report", async () => {
  const unreadable = (): never => {
    throw new Error("ENOENT");
  };
  vi.doMock("node:fs", () => ({ readFileSync: unreadable }));
  vi.resetModules();
  const report = { userLimits: { open_files: { soft: 4_242 } } };
  const spy = vi.spyOn(process.report, "getReport").mockReturnValue(report);
  onTestFinished(() => {
    spy.mockRestore();
    vi.doUnmock("node:fs");
    vi.resetModules();
  });
  const reread = await import("./open-files.ts");
  expect(reread.openFileLimit()).toBe(4_242);
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

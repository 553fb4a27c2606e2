import process from "node:process";
import { expect, test } from "vitest";
import { decideDirectoryChange } from "./directory-change.ts";

const at = (directory: string | null, revision: number | null = 0) => ({ directory, revision });

test("a report of the requested directory is the change, whether or not it ends with a slash", () => {
  expect(decideDirectoryChange("/code/app/", null, at("/code/app"))).toEqual({
    kind: "changed",
    directory: "/code/app",
  });
  expect(decideDirectoryChange("/", at("/code"), at("/"))).toEqual({ kind: "changed", directory: "/" });
  expect(decideDirectoryChange("C:\\code\\", at("C:\\"), at("C:\\code"))).toMatchObject({ kind: "changed" });
});

test("another directory than before is the change, because devices resolve symbolic links", () => {
  const decision = decideDirectoryChange("/link", at("/home"), at("/real", 1));
  expect(decision).toEqual({ kind: "changed", directory: "/real" });
});

test("the old directory under a new revision is a refusal, and under the same revision it says nothing", () => {
  expect(decideDirectoryChange("/missing", at("/home", 3), at("/home", 4))).toEqual({ kind: "refused" });
  expect(decideDirectoryChange("/missing", at("/home", 3), at("/home", 3))).toBeNull();
});

test("the first report, and a report without a directory, say nothing", () => {
  expect(decideDirectoryChange("/code", null, at("/home"))).toBeNull();
  expect(decideDirectoryChange("/code", at("/home"), at(null, 1))).toBeNull();
  expect(decideDirectoryChange("/code", at("/home", null), at("/home", null))).toBeNull();
});

test("directories are compared in time proportional to their lengths", () => {
  const hostile = `/a${"/".repeat(50_000)}x`;
  const before = process.cpuUsage();
  expect(decideDirectoryChange("/code", null, at(hostile))).toBeNull();
  expect(process.cpuUsage(before).user).toBeLessThan(500_000);
});

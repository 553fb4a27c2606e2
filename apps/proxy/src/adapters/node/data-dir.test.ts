import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, expect, test } from "vitest";
import {
  assertGatewayData,
  checkDataDir,
  describeAccess,
  describeUnusable,
  hasGatewayData,
  openDatabase,
} from "./data-dir.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "data-dir-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

test("a data directory is accessible to its owner only, whether it existed before or not", async () => {
  const there = join(folder, "there");
  mkdirSync(there);
  chmodSync(there, 0o755);
  for (const dataDir of [there, join(folder, "new", "deep")]) {
    (await openDatabase(dataDir, "x.sqlite")).close();
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  }
});

test("a world-writable directory is refused and not changed", async () => {
  chmodSync(folder, 0o777);
  await expect(openDatabase(folder, "x.sqlite")).rejects.toThrow("every user can write to the data directory");
  expect(statSync(folder).mode & 0o777).toBe(0o777);
});

const cannotOpenFile = Object.assign(new Error("unable to open database file"), {
  code: "ERR_SQLITE_ERROR",
  errcode: 14,
});

test.each([
  ["EROFS", "the file system is read-only"],
  ["ENOSPC", "the disk is full"],
  ["EMFILE", "this process may open no more files; see ulimit -n"],
  ["EOTHER", "unable to open database file"],
])("an error %s for a probe file explains why SQLite cannot use its own file", (code, reason) => {
  const write = (): never => {
    throw Object.assign(new Error("failed"), { code });
  };
  expect(describeUnusable(cannotOpenFile, folder, write)).toBe(reason);
  expect(describeUnusable(new Error("not a database"), folder, write)).toBe("not a database");
});

test("if a probe file can be written, the error is the one from SQLite, and the probe file is removed", () => {
  expect(describeUnusable(cannotOpenFile, folder)).toBe("unable to open database file");
  expect(readdirSync(folder)).toEqual([]);
});

test("a data directory that is a file, or below a file, is refused with an error that names the file", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  await expect(openDatabase(file, "x.sqlite")).rejects.toThrow(
    `the data directory ${file}: this is a file; pass a directory`,
  );
  const below = join(file, "deep", "er");
  await expect(openDatabase(below, "x.sqlite")).rejects.toThrow(`the data directory ${below}: ${file} is a file`);
});

test("a data directory that is a link to nothing is refused by the check and by the start, with that reason", async () => {
  const link = join(folder, "link");
  symlinkSync(join(folder, "gone"), link);
  const refusal = `the data directory ${link}: this is a link to a directory that does not exist`;
  expect(() => checkDataDir(link)).toThrow(refusal);
  await expect(openDatabase(link, "x.sqlite")).rejects.toThrow(refusal);
  const below = join(link, "deep");
  expect(() => checkDataDir(below)).toThrow(`the data directory ${below}: ${link} is a link`);
});

test("a directory contains gateway data if it has at least one gateway file; other files do not count", async () => {
  const dataDir = join(folder, "data");
  expect(hasGatewayData(dataDir)).toBe(false);
  (await openDatabase(dataDir, "x.sqlite")).close();
  expect(hasGatewayData(dataDir)).toBe(false);
  writeFileSync(join(dataDir, "pepper"), "");
  expect(hasGatewayData(dataDir)).toBe(true);
  assertGatewayData(dataDir);
});

test("a data directory without access permission is not mistaken for a missing one", () => {
  const endless = join(folder, "endless");
  symlinkSync(endless, endless);
  expect(() => assertGatewayData(endless)).toThrow(/^the data directory .*endless: ELOOP/);
});

test("a database that this user may not open is refused with that reason, not with SQLite's error", async () => {
  const path = join(folder, "x.sqlite");
  mkdirSync(path);
  await expect(openDatabase(folder, "x.sqlite")).rejects.toThrow(`${path} cannot be opened: this is a directory`);
  const refused = Object.assign(new Error("no"), { code: "EACCES" });
  expect(describeAccess(refused)).toBe("this user is not allowed to");
  expect(describeAccess(new Error("no"))).toBeNull();
});

test.runIf(process.platform === "linux")("a path at which no directory can be created fails immediately", async () => {
  await expect(openDatabase("/proc/letta/data", "x.sqlite")).rejects.toThrow(
    "the data directory /proc/letta/data: the system does not allow new directories there",
  );
});

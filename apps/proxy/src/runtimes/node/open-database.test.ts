import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase } from "./open-database.ts";

let folder = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "open-database-"));
});

afterEach(() => rmSync(folder, { recursive: true }));

test("a data directory is for its owner alone, whether it was there before or not", async () => {
  const there = join(folder, "there");
  mkdirSync(there);
  chmodSync(there, 0o755);
  for (const dataDir of [there, join(folder, "new", "deep")]) {
    (await openDatabase(dataDir, "x.sqlite")).close();
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
  }
});

test("a directory that everybody may write to is refused and left as it is", async () => {
  chmodSync(folder, 0o777);
  await expect(openDatabase(folder, "x.sqlite")).rejects.toThrow("everybody may write to the data directory");
  expect(statSync(folder).mode & 0o777).toBe(0o777);
});

test("a data directory that is a file, or below one, is refused by its name", async () => {
  const file = join(folder, "file");
  writeFileSync(file, "");
  await expect(openDatabase(file, "x.sqlite")).rejects.toThrow(`--data-dir ${file}: this is a file; pass a directory`);
  const below = join(file, "deep", "er");
  await expect(openDatabase(below, "x.sqlite")).rejects.toThrow(`--data-dir ${below}: ${file} is a file`);
});

test.runIf(process.platform === "linux")("a place where nobody can create a directory fails at once", async () => {
  await expect(openDatabase("/proc/letta/data", "x.sqlite")).rejects.toThrow(
    "--data-dir /proc/letta/data: the system does not allow new directories there",
  );
});

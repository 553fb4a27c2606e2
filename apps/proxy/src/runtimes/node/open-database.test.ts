import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDatabase } from "./data-dir.ts";

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

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import { migrateSqlite } from "@letta-environments/platform";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lockDataDir } from "./data-dir-lock.ts";
import { openStore, type StoreOptions } from "./open-store.ts";

const steps = ["CREATE TABLE item (id TEXT)", "ALTER TABLE item ADD COLUMN colour TEXT"];
let folder = "";
let path = "";

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "open-store-"));
  path = join(folder, "x.sqlite");
  await open(1);
});

afterEach(() => rmSync(folder, { recursive: true }));

async function open(version: number, options?: StoreOptions): Promise<void> {
  const create = (database: Parameters<typeof migrateSqlite>[0]): void =>
    migrateSqlite(database, steps.slice(0, version));
  const { database } = await openStore(folder, "x.sqlite", create, options);
  database.close();
}

test("older tables are not migrated while a gateway runs on the directory, except by the start of that gateway", async () => {
  const before = readFileSync(path);
  const lock = await lockDataDir(folder);
  await expect(open(2)).rejects.toThrow(`${path} cannot be opened: its tables have an older version, and a running`);
  expect(readFileSync(path).equals(before)).toBe(true);
  await open(2, { migrates: true });
  await open(2);
  lock.release();
});

test("older tables are migrated when no gateway runs on the directory, unless the command excludes that", async () => {
  await expect(open(2, { migrates: false })).rejects.toThrow("its tables have an older version");
  await open(2);
  await expect(open(1)).rejects.toThrow("a newer program wrote them");
});

test("a store that cannot be backed up before a migration is not opened: the error is one line, and the file is not changed", async () => {
  const before = readFileSync(path);
  mkdirSync(`${path}.backup.partial`);
  const failure = await open(2).catch((cause: unknown) => cause);
  expect(failure).toBeInstanceOf(CommandError);
  expect(String(failure)).toContain(`${path} cannot be opened: the backup ${path}.before-v2.backup cannot be written`);
  expect(String(failure)).not.toContain("\n");
  expect(readFileSync(path).equals(before)).toBe(true);
});

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { openSqlite } from "@letta-environments/platform/node";
import { expect, onTestFinished, test } from "vitest";
import { shortenWrites } from "../../../test/support/short-writes.ts";
import { createDatabaseFileCheck, createDiskCheck } from "./readiness.ts";

/** How many locks this process has on a file. */
function locksOn(path: string): number {
  const file = `:${statSync(path).ino} `;
  const lines = readFileSync("/proc/locks", "utf8").split("\n");
  return lines.filter((line) => line.includes(` ${process.pid} `) && line.includes(file)).length;
}

test("a disk that accepts only a part of the probe counts as full", async () => {
  const folder = mkdtempSync(join(tmpdir(), "readiness-checks-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const check = createDiskCheck(folder);
  let free = 100_000;
  await shortenWrites((bytes) => {
    if (free === 0) throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
    const taken = Math.min(bytes, free);
    free -= taken;
    return taken;
  });
  await check();
  await expect(check()).rejects.toThrow("ENOSPC");
  expect(readdirSync(folder)).toEqual([]);
});

test.skipIf(process.platform !== "linux")(
  "checking a database file keeps SQLite's lock on it, so that no other process can remove its WAL",
  async () => {
    const folder = mkdtempSync(join(tmpdir(), "readiness-checks-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const path = join(folder, "x.sqlite");
    const database = openSqlite(path);
    database.exec("CREATE TABLE item (id TEXT)");
    expect(locksOn(path)).toBe(1);
    const check = createDatabaseFileCheck(path);
    await check.run();
    await check.run();
    expect(locksOn(path)).toBe(1);
    database.close();
    check.close();
  },
);

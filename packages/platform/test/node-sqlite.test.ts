import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { openSqlite } from "../src/node/index.ts";
import { describeSqliteContract } from "./sqlite-contract.ts";

const directory = mkdtempSync(join(tmpdir(), "platform-sqlite-"));
afterAll(() => rmSync(directory, { recursive: true }));

describeSqliteContract(
  "node:sqlite",
  () => openSqlite(":memory:"),
  () => openSqlite(join(directory, "test.sqlite")),
);

test("openSqlite throws for a file that is not a database and does not overwrite it", () => {
  const file = join(directory, "notes.txt");
  writeFileSync(file, "these are my notes, which are longer than the header of a database file: ".repeat(4));
  expect(() => openSqlite(file)).toThrow(/not a database/);
});

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import { openSqlite } from "../src/node/index.ts";
import { describeSqliteContract } from "./sqlite-contract.ts";

const directory = mkdtempSync(join(tmpdir(), "platform-sqlite-"));
afterAll(() => rmSync(directory, { recursive: true }));

describeSqliteContract(
  "node:sqlite",
  () => openSqlite(":memory:"),
  () => openSqlite(join(directory, "test.sqlite")),
  openSqlite,
);

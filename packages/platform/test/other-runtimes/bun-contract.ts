/** Run by `bun test`, which replaces `vitest`: the contract of SQLite drivers on `bun:sqlite`. */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/sqlite";
import { describeSqliteContract } from "../sqlite-contract.ts";

const directory = mkdtempSync(join(tmpdir(), "platform-sqlite-bun-"));

describeSqliteContract(
  "bun:sqlite",
  () => openSqlite(":memory:"),
  () => openSqlite(join(directory, "test.sqlite")),
  openSqlite,
);

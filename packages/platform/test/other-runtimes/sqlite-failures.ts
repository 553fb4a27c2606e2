/** Run by Bun and by Deno: what their drivers throw, told apart. Prints what was found as JSON. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/sqlite";
import { isSqliteBusy, isSqliteError } from "../../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "platform-failures-"));
const failure = (run: () => unknown): readonly [isSqlite: boolean, isBusy: boolean] | null => {
  try {
    run();
    return null;
  } catch (cause) {
    return [isSqliteError(cause), isSqliteBusy(cause)];
  }
};

const notes = join(folder, "notes.txt");
writeFileSync(notes, "these are my notes ".repeat(400));
const [holder, other] = [openSqlite(join(folder, "a.sqlite")), openSqlite(join(folder, "a.sqlite"))];
holder.exec("CREATE TABLE item (id TEXT PRIMARY KEY); BEGIN EXCLUSIVE");
other.exec("PRAGMA busy_timeout = 10");
const busy = failure(() => other.exec("BEGIN IMMEDIATE"));
holder.exec("INSERT INTO item VALUES ('a')");
const repeated = failure(() => holder.exec("INSERT INTO item VALUES ('a')"));
holder.exec("COMMIT");
const row = other.transaction(() => other.prepare("SELECT id FROM item WHERE id = ?").get("a"));
const found = {
  busy,
  repeated,
  noDatabase: failure(() => openSqlite(notes)),
  ours: failure(() => {
    throw new Error("x");
  }),
  row: { ...row },
};
holder.close();
other.close();
rmSync(folder, { recursive: true });
process.stdout.write(`${JSON.stringify(found)}\n`);

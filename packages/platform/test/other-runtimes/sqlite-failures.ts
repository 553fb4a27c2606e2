/** Run by Node.js, Bun and Deno: classifies the errors of their drivers and migrates a file. Prints the results as JSON. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/sqlite";
import { isSqliteBusy, isSqliteDiskFailure, isSqliteError, migrateSqlite } from "../../src/index.ts";

const folder = mkdtempSync(join(tmpdir(), "platform-failures-"));
const failure = (run: () => unknown): readonly [isSqlite: boolean, isBusy: boolean, isDisk: boolean] | null => {
  try {
    run();
    return null;
  } catch (cause) {
    return [isSqliteError(cause), isSqliteBusy(cause), isSqliteDiskFailure(cause)];
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
holder.exec(`PRAGMA max_page_count = ${Number(holder.prepare("PRAGMA page_count").get()?.["page_count"])}`);
const full = failure(() => holder.prepare("INSERT INTO item VALUES (?)").run("x".repeat(100_000)));
const row = other.transaction(() => other.prepare("SELECT id FROM item WHERE id = ?").get("a"));
const migrated = openSqlite(join(folder, "m.sqlite"));
const steps = ["CREATE TABLE item (id TEXT)", "ALTER TABLE item ADD COLUMN colour TEXT"];
migrateSqlite(migrated, steps.slice(0, 1));
migrated.exec("INSERT INTO item VALUES ('kept')");
migrateSqlite(migrated, steps);
const backups = readdirSync(folder).filter((name) => name.endsWith(".backup"));
const backup = openSqlite(join(folder, backups[0] ?? ""));
const found = {
  backups,
  backedUp: { ...backup.prepare("SELECT * FROM item").get() },
  migrated: { ...migrated.prepare("SELECT * FROM item").get() },
  busy,
  repeated,
  full,
  unwritable: failure(() => openSqlite(join(folder, "missing", "a.sqlite"))),
  noDatabase: failure(() => openSqlite(notes)),
  ours: failure(() => {
    throw new Error("x");
  }),
  row: { ...row },
};
for (const database of [holder, migrated, backup]) database.close();
other.close();
rmSync(folder, { recursive: true });
process.stdout.write(`${JSON.stringify(found)}\n`);

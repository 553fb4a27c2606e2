/** Locks the SQLite file in its first argument, and releases it when its input ends. Prints a line when it has the lock. */
import process from "node:process";
import { openSqlite } from "@letta-environments/platform/node";

const database = openSqlite(process.argv[2] ?? "");
database.exec("BEGIN EXCLUSIVE");
process.stdout.write("locked\n");
process.stdin.resume().once("end", () => {
  database.exec("COMMIT");
  database.close();
});

/** Reads the ids of the peppers that were used in a data directory. The tables can have any version, and nothing is migrated. */
import type { SqliteDatabase } from "@letta-environments/platform";
import { readKeyRecord } from "../../keys/key-record.ts";

/** The peppers of all key digests. Damaged records have none. */
export function readPeppersOfKeys(database: SqliteDatabase): ReadonlySet<string> {
  const rows = database.prepare("SELECT id, record FROM keys").all();
  const records = rows.map((row) => readKeyRecord(String(row["id"]), String(row["record"])));
  return new Set(records.flatMap((record) => record?.secrets.map(({ pepperId }) => pepperId) ?? []));
}

/** The peppers of the seals of an audit log. */
export function readPeppersOfSeals(database: SqliteDatabase): ReadonlySet<string> {
  const rows = database.prepare("SELECT pepper_id FROM audit_heads UNION SELECT pepper_id FROM audit_directory").all();
  return new Set(rows.map((row) => String(row["pepper_id"])));
}

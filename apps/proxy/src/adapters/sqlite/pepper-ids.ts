/** The ids of the peppers with which the files of a data directory were written. They are read from tables of any version, and nothing is migrated. */
import type { SqliteDatabase } from "@letta-environments/platform";
import { readKeyRecord } from "../../keys/key-record.ts";

/** The peppers of the digests of all keys. Damaged records have none. */
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

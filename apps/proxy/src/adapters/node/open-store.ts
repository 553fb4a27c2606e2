/** Opens a store in the data directory. Tables of an older version are changed only where no gateway of that version may be using them. */
import { join } from "node:path";
import type { SqliteDatabase } from "@letta-environments/platform";
import { cannotOpen, openDatabase } from "./data-dir.ts";
import { isLocked } from "./data-dir-lock.ts";

/** Tables of an older version that must not be changed. */
export class OlderTablesError extends Error {
  override readonly name = "OlderTablesError";
}

/** How a store is opened. */
export interface StoreOptions {
  /** Whether tables of an older version are changed. Absent: only if no gateway runs with the directory. A start has the directory itself. */
  readonly migrates?: boolean;
}

/**
 * Opens a database in the data directory and creates the store over it, whose tables have the newest version. The caller closes the database.
 *
 * @throws CommandError if the file cannot be used, a newer version wrote it, or an older one did and it may not be changed, or cannot be backed up
 * before that. The cause of the third is {@link OlderTablesError}.
 */
export async function openStore<Store>(
  dataDir: string,
  name: string,
  create: (database: SqliteDatabase) => Store,
  { migrates }: StoreOptions = {},
): Promise<{ readonly store: Store; readonly database: SqliteDatabase }> {
  const database = await openDatabase(dataDir, name);
  const { backUp } = database;
  // Runs before a migration, which is rolled back if this throws.
  const permitMigration = (version: number): void => {
    if (!(migrates ?? !isLocked(dataDir))) throw new OlderTablesError(olderTables);
    backUp?.(version);
  };
  try {
    return { store: create({ ...database, backUp: permitMigration }), database };
  } catch (cause) {
    database.close();
    throw cannotOpen(join(dataDir, name), cause);
  }
}

const olderTables =
  "its tables have an older version, and a running gateway may need them as they are; restart the gateway with this version, or use the letta-proxy that wrote them";

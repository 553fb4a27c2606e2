import { systemClock } from "@letta-environments/platform/node";
import { loadPepper, PepperError } from "../../adapters/node/load-pepper.ts";
import { createSqliteKeyStore } from "../../adapters/sqlite-key-store.ts";
import type { Settings } from "../../config/settings.ts";
import type { KeyStore, Pepper } from "../../ports.ts";
import { CommandError } from "./command-error.ts";
import { openDatabase } from "./open-database.ts";

/** The keys of a data directory, with the pepper that they were made with. */
export interface OpenKeys {
  readonly keyStore: KeyStore;
  readonly pepper: Pepper;
  close(): void;
}

/**
 * Opens the keys of a data directory, which is made when there is none, for its owner alone.
 *
 * @throws CommandError when it cannot be opened, or the pepper is not the one the keys need.
 */
export async function openKeys({ dataDir, keyPepper }: Settings): Promise<OpenKeys> {
  const database = await openDatabase(dataDir, "proxy.sqlite");
  const keyStore = createSqliteKeyStore(database, systemClock);
  const records = await keyStore.list();
  try {
    const pepper = loadPepper(dataDir, keyPepper, records.length > 0);
    const fits =
      records.length === 0 || records.some(({ secrets }) => secrets.some(({ pepperId }) => pepperId === pepper.id));
    if (!fits) throw new PepperError("The pepper is not the one that the keys in the data directory were made with.");
    return { keyStore, pepper, close: () => database.close() };
  } catch (cause) {
    database.close();
    if (cause instanceof PepperError) throw new CommandError(cause.message, 1, { cause });
    throw cause;
  }
}

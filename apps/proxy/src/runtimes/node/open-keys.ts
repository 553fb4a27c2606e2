import { loadPepper, PepperError } from "../../adapters/node/load-pepper.ts";
import type { Settings } from "../../config/settings.ts";
import type { KeyRecord } from "../../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import type { Pepper } from "../../ports.ts";
import { CommandError } from "./command-error.ts";
import { makeDataDir } from "./open-database.ts";
import { type KeyStoreListener, type OpenKeyStore, openKeyStore, unavailable } from "./open-key-store.ts";

/** The keys that the settings name, with the pepper that they were made with. */
export interface OpenKeys extends OpenKeyStore {
  readonly pepper: Pepper;
}

/**
 * Opens the keys, in Valkey or in the data directory, which is made when there is none, for its owner alone.
 *
 * @throws CommandError when they cannot be opened, or the pepper is not the one the keys need.
 */
export async function openKeys(settings: Settings, listener?: KeyStoreListener): Promise<OpenKeys> {
  const opened = await openKeyStore(settings, listener);
  try {
    const records = await opened.keyStore.list();
    return { ...opened, pepper: openPepper(settings, records, opened.damagedIds.size > 0) };
  } catch (cause) {
    opened.close();
    throw cause instanceof KeyStoreUnavailableError ? unavailable(settings, cause) : cause;
  }
}

/**
 * The pepper of keys, damaged records included: once those are restored, their keys need it too.
 *
 * @throws CommandError when it is missing, damaged, or not the one that the keys were made with.
 */
export function openPepper(settings: Settings, records: readonly KeyRecord[], hasDamaged: boolean): Pepper {
  const { dataDir, keyPepper, valkeyUrl } = settings;
  try {
    if (keyPepper === null) makeDataDir(dataDir);
    const pepper = loadPepper(dataDir, keyPepper, hasDamaged || records.length > 0);
    const fits =
      records.length === 0 || records.some(({ secrets }) => secrets.some(({ pepperId }) => pepperId === pepper.id));
    if (!fits) {
      const place = valkeyUrl === null ? "the data directory" : "Valkey";
      throw new PepperError(`The pepper is not the one that the keys in ${place} were made with.`);
    }
    return pepper;
  } catch (cause) {
    if (!(cause instanceof PepperError)) throw cause;
    const shared =
      "\nKeys in Valkey are shared: every gateway and command that uses them needs the same KEY_PEPPER, or a copy of the pepper file of the first one.";
    throw new CommandError(cause.message + (valkeyUrl === null ? "" : shared), 1, { cause });
  }
}

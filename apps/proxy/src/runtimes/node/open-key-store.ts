import { parseValkeyUrl } from "@letta-environments/platform";
import { systemClock } from "@letta-environments/platform/node";
import { createSqliteKeyStore } from "../../adapters/sqlite-key-store.ts";
import { openValkeyKeyStore } from "../../adapters/valkey-key-store.ts";
import type { Settings } from "../../config/settings.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-unavailable-error.ts";
import type { KeyStore } from "../../ports.ts";
import { CommandError } from "./command-error.ts";
import { openDatabase } from "./open-database.ts";

/** Longest wait for an answer of Valkey, in milliseconds. */
const valkeyTimeoutMs = 2_000;

/** Where keys are, opened. */
export interface OpenKeyStore {
  readonly keyStore: KeyStore;
  close(): void;
}

/** Where the settings say that keys are, in words, without a password. */
export function describeKeyStore({ dataDir, valkeyUrl }: Pick<Settings, "dataDir" | "valkeyUrl">): string {
  return valkeyUrl === null ? `${dataDir}/proxy.sqlite` : `Valkey at ${parseValkeyUrl(valkeyUrl)?.label}`;
}

/**
 * Opens the store of keys: Valkey where `VALKEY_URL` names it, else SQLite in the data directory.
 *
 * @throws CommandError when it cannot be opened, or Valkey does not answer.
 */
export async function openKeyStore(
  settings: Pick<Settings, "dataDir" | "valkeyUrl">,
  onFailure: (cause: unknown) => void,
): Promise<OpenKeyStore> {
  if (settings.valkeyUrl === null) {
    const database = await openDatabase(settings.dataDir, "proxy.sqlite");
    return { keyStore: createSqliteKeyStore(database, systemClock), close: () => database.close() };
  }
  // Whoever keeps keys in SQLite does not load the client.
  const { connectValkey } = await import("@letta-environments/platform/valkey");
  const valkey = connectValkey(settings.valkeyUrl, { timeoutMs: valkeyTimeoutMs, onFailure });
  try {
    const keyStore = await openValkeyKeyStore(valkey, systemClock);
    return {
      keyStore,
      close() {
        keyStore.close();
        void valkey.close();
      },
    };
  } catch (cause) {
    await valkey.close();
    throw cause instanceof KeyStoreUnavailableError ? unavailable(settings, cause) : cause;
  }
}

/** What a command says when the store of keys gives no answer. */
export function unavailable(
  settings: Pick<Settings, "dataDir" | "valkeyUrl">,
  cause: KeyStoreUnavailableError,
): CommandError {
  return new CommandError(
    `VALKEY_URL: ${describeKeyStore(settings)} cannot be used: ${reasonOf(cause)}. Check the address, the password and that the server runs.`,
    1,
    { cause },
  );
}

/** The innermost cause says most: `connect ECONNREFUSED`, `WRONGPASS`. */
function reasonOf(cause: Error): string {
  return cause.cause instanceof Error ? reasonOf(cause.cause) : cause.message;
}

import { parseValkeyUrl } from "@letta-environments/platform";
import { systemClock } from "@letta-environments/platform/node";
import { createSqliteKeyStore } from "../../adapters/sqlite-key-store.ts";
import { openValkeyKeyStore } from "../../adapters/valkey-key-store.ts";
import type { Settings } from "../../config/settings.ts";
import { innermostReason } from "../../keys/innermost-reason.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-unavailable-error.ts";
import type { KeyStore } from "../../ports.ts";
import { CommandError } from "./command-error.ts";
import { openStore } from "./open-database.ts";

/** Longest wait for an answer of Valkey, in milliseconds. */
const valkeyTimeoutMs = 2_000;

/** Where keys are, opened. */
export interface OpenKeyStore {
  readonly keyStore: KeyStore;
  /** Ids of damaged records that were met so far. */
  readonly damagedIds: ReadonlySet<string>;
  close(): void;
}

/** Who is told of what goes wrong with the store of keys. */
export interface KeyStoreListener {
  /** A failure of the connection to Valkey. */
  readonly onFailure?: (cause: unknown) => void;
  /** A damaged record, once for each id. */
  readonly onDamaged?: (id: string) => void;
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
  { onFailure = () => undefined, onDamaged = () => undefined }: KeyStoreListener = {},
): Promise<OpenKeyStore> {
  const damagedIds = new Set<string>();
  const noteDamaged = (id: string): void => {
    if (damagedIds.has(id)) return;
    damagedIds.add(id);
    onDamaged(id);
  };
  if (settings.valkeyUrl === null) {
    const { store, database } = await openStore(settings.dataDir, "proxy.sqlite", (opened) =>
      createSqliteKeyStore(opened, systemClock, noteDamaged),
    );
    return { keyStore: store, damagedIds, close: () => database.close() };
  }
  // Whoever keeps keys in SQLite does not load the client.
  const { connectValkey } = await import("@letta-environments/platform/valkey");
  const valkey = connectValkey(settings.valkeyUrl, { timeoutMs: valkeyTimeoutMs, onFailure });
  try {
    const keyStore = await openValkeyKeyStore(valkey, systemClock, noteDamaged);
    return {
      keyStore,
      damagedIds,
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
    `VALKEY_URL: ${describeKeyStore(settings)} cannot be used: ${innermostReason(cause)}. Check the address, the password and that the server runs.`,
    1,
    { cause },
  );
}

import { openStore, makeDataDir } from "./data-dir.ts";
import { parseValkeyUrl } from "@letta-environments/platform";
import { systemClock, hmacSha256Hex } from "@letta-environments/platform/node";
import { loadPepper, PepperError } from "../../adapters/node/pepper.ts";
import { createSqliteKeyStore } from "../../adapters/sqlite/key-store.ts";
import { openValkeyKeyStore } from "../../adapters/valkey/key-store.ts";
import type { Settings } from "../../config/settings.ts";
import { rootCauseMessage } from "../../keys/key-store-outages.ts";
import type { KeyRecord } from "../../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import type { KeyStore, Pepper } from "../../ports.ts";
import { CommandError } from "@letta-environments/command-line";
import { randomBytes } from "node:crypto";
import type { KeyMint } from "../../keys/key-lifecycle.ts";

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
    `VALKEY_URL: ${describeKeyStore(settings)} cannot be used: ${rootCauseMessage(cause)}. Check the address, the password and that the server runs.`,
    1,
    { cause },
  );
}

/** Creates keys with Node's own randomness. */
export function nodeKeyMint(pepper: Pepper): KeyMint {
  return { digests: { hmacSha256: hmacSha256Hex }, pepper, randomBytes };
}

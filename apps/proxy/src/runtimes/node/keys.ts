/** Opens the gateway keys, in SQLite in the data directory or in Valkey, and the pepper of their digests. */
import { randomBytes } from "node:crypto";
import { CommandError } from "@letta-environments/command-line";
import { type Clock, parseValkeyUrl, sleep, type SqliteDatabase, ValkeyError } from "@letta-environments/platform";
import { constantTimeEqual, hmacSha256Hex, sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { ValkeyOptions } from "@letta-environments/platform/valkey";
import { assertGatewayData, keysFile, makeDataDir } from "../../adapters/node/data-dir.ts";
import { openStore, type StoreOptions } from "../../adapters/node/open-store.ts";
import { describeWrongPepper, loadPepper } from "../../adapters/node/pepper.ts";
import { createLockWaitingKeyStore, createSqliteKeyStore } from "../../adapters/sqlite/key-store.ts";
import { openValkeyKeyStore } from "../../adapters/valkey/key-store.ts";
import { assertSingleServer } from "../../adapters/valkey/server-info.ts";
import type { Settings } from "../../config/settings.ts";
import type { KeyMint } from "../../keys/key-lifecycle.ts";
import { type KeySummary, summarizeKeys } from "../../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import { rootCauseMessage } from "../../lib/redact.ts";
import type { KeyStore, Pepper } from "../../ports.ts";
import { fitsKeys } from "../../keys/pepper.ts";

/** The open store of the keys, with the pepper of their digests. */
export interface OpenKeys extends OpenKeyStore {
  readonly pepper: Pepper;
  /** Whether nothing was stored when it was opened, not even a damaged record. */
  readonly wasEmpty: boolean;
}

/**
 * Opens the keys that the settings name. Creates the data directory if it does not exist.
 *
 * @throws CommandError if the keys cannot be opened, or the pepper does not match their digests
 */
export async function openKeys(
  settings: Settings,
  listener?: KeyStoreListener,
  options?: StoreOptions,
): Promise<OpenKeys> {
  const opened = await openKeyStore(settings, listener, options);
  try {
    // Lists the keys, since a summary of the store itself does not find damaged records.
    const summary = await summarizeKeys(opened.keyStore.list, systemClock.now());
    const hasDamaged = opened.damagedIds.size > 0;
    const pepper = openPepper(settings, summary, hasDamaged);
    return { ...opened, pepper, wasEmpty: summary.isEmpty && !hasDamaged };
  } catch (cause) {
    opened.close();
    throw cause instanceof KeyStoreUnavailableError ? unavailable(settings, cause) : cause;
  }
}

/**
 * Opens the keys that the settings name for a command that works on keys, and creates no data directory for it.
 *
 * @throws CommandError as {@link openKeys}, and if nothing is stored in the data directory
 */
export async function openStoredKeys(settings: Settings, listener?: KeyStoreListener): Promise<OpenKeys> {
  assertStoredKeys(settings);
  return openKeys(settings, listener);
}

/**
 * Refuses a data directory without the keys of a gateway or their pepper. With Valkey and `KEY_PEPPER`, neither is there, so any directory will do.
 *
 * @throws CommandError that names the directory
 */
export function assertStoredKeys({ dataDir, keyPepper, valkeyUrl }: Settings): void {
  if (valkeyUrl === null || keyPepper === null) assertGatewayData(dataDir);
}

/**
 * Loads the pepper of the keys. A new one is created only if there are no keys and no damaged records, whose keys would need the
 * old one after a repair.
 *
 * @throws CommandError if the pepper is missing or damaged, or does not match the keys' digests
 */
export function openPepper(settings: Settings, summary: KeySummary, hasDamaged: boolean): Pepper {
  const { dataDir, keyPepper, valkeyUrl } = settings;
  if (keyPepper === null) makeDataDir(dataDir);
  try {
    const pepper = loadPepper(dataDir, keyPepper, hasDamaged || !summary.isEmpty);
    if (!fitsKeys(pepper, summary)) {
      const place = valkeyUrl === null ? "the data directory" : "Valkey";
      throw new CommandError(describeWrongPepper(dataDir, keyPepper, `the keys in ${place}`));
    }
    return pepper;
  } catch (cause) {
    if (!(cause instanceof CommandError)) throw cause;
    const shared =
      "\nkeys in Valkey are shared: every gateway and command that uses them needs the same KEY_PEPPER, or a copy of the pepper file of the first one";
    throw new CommandError(cause.message + (valkeyUrl === null ? "" : shared), 1, { cause });
  }
}

/** The open store of the keys. */
export interface OpenKeyStore {
  readonly keyStore: KeyStore;
  /** The ids of the damaged records that were read so far. */
  readonly damagedIds: ReadonlySet<string>;
  close(): void;
}

/** Receives the failures of a key store. */
export interface KeyStoreListener {
  /** Receives a failure of the connection to Valkey. */
  readonly onFailure?: (cause: unknown) => void;
  /** Receives the id of a damaged record, once for each id. */
  readonly onDamaged?: (id: string) => void;
}

/** Describes where the keys are stored, without the password. */
export function describeKeyStore({ dataDir, valkeyUrl }: Pick<Settings, "dataDir" | "valkeyUrl">): string {
  return valkeyUrl === null ? `${dataDir}/proxy.sqlite` : describeValkey(valkeyUrl);
}

/** Describes the server of `VALKEY_URL`, without the password. */
export function describeValkey(valkeyUrl: string): string {
  return `Valkey at ${parseValkeyUrl(valkeyUrl)?.label}`;
}

/** Connects to Valkey, whose client is loaded only if it is used. */
export async function openValkey(
  valkeyUrl: string,
  { timeoutMs = 2_000, onFailure = () => undefined }: Partial<ValkeyOptions> = {},
) {
  const { connectValkey } = await import("@letta-environments/platform/valkey");
  return connectValkey(valkeyUrl, { timeoutMs, onFailure });
}

/** Timers of the system clock would not keep a command alive. */
const aliveClock: Clock = {
  ...systemClock,
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

/**
 * Opens the store of the keys: Valkey if `VALKEY_URL` is set, else SQLite in the data directory.
 *
 * @throws CommandError if it cannot be opened, or Valkey does not respond or is a node of a cluster
 */
export async function openKeyStore(
  settings: Pick<Settings, "dataDir" | "valkeyUrl">,
  { onFailure = () => undefined, onDamaged = () => undefined }: KeyStoreListener = {},
  options?: StoreOptions,
): Promise<OpenKeyStore> {
  const damagedIds = new Set<string>();
  const noteDamaged = (id: string): void => {
    if (damagedIds.has(id)) return;
    damagedIds.add(id);
    onDamaged(id);
  };
  if (settings.valkeyUrl === null) {
    const create = (opened: SqliteDatabase): KeyStore => createSqliteKeyStore(opened, aliveClock, noteDamaged);
    const { store, database } = await openStore(settings.dataDir, keysFile, create, options);
    const time = { monotonic: systemClock.monotonic, pause: (durationMs: number) => sleep(aliveClock, durationMs) };
    // A busy SQLite would block the event loop, so it gives up immediately and the store waits instead.
    database.exec("PRAGMA busy_timeout = 0");
    return { keyStore: createLockWaitingKeyStore(store, time), damagedIds, close: () => database.close() };
  }
  const valkey = await openValkey(settings.valkeyUrl, { onFailure });
  try {
    await assertSingleServer(valkey);
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
    if (cause instanceof CommandError) {
      throw new CommandError(`VALKEY_URL: ${describeKeyStore(settings)} ${cause.message}`, 1, { cause });
    }
    const outage = cause instanceof ValkeyError ? new KeyStoreUnavailableError({ cause }) : cause;
    throw outage instanceof KeyStoreUnavailableError ? unavailable(settings, outage) : outage;
  }
}

function unavailable(settings: Pick<Settings, "dataDir" | "valkeyUrl">, cause: KeyStoreUnavailableError): CommandError {
  const text = `${describeKeyStore(settings)} cannot be used: ${rootCauseMessage(cause).replace(/\.$/, "")}`;
  const isFile = settings.valkeyUrl === null;
  return new CommandError(
    isFile ? text : `VALKEY_URL: ${text}. Check the address, the password and that the server runs.`,
    1,
    { cause },
  );
}

/** Digests of Node. */
export const digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };

/** Returns a mint whose keys come from Node's random number generator. */
export function nodeKeyMint(pepper: Pepper): KeyMint {
  return { digests, pepper, randomBytes };
}

/**
 * Opens the store that remembers sends to a remote upstream: in Valkey if it is configured, else in the file of the audit log, so that
 * a back-up has both or neither.
 */
import { join } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import { parseValkeyUrl } from "@letta-environments/platform";
import { systemClock } from "@letta-environments/platform/node";
import { createFileGuard } from "../../adapters/node/audit-file.ts";
import { auditFile, openStore } from "../../adapters/node/data-dir.ts";
import { createSqliteIdempotencyStore } from "../../adapters/sqlite/idempotency-store.ts";
import { assertDurableValkey, ValkeyNotDurableError } from "../../adapters/valkey/durability.ts";
import { createValkeyIdempotencyStore } from "../../adapters/valkey/idempotency-store.ts";
import type { Settings } from "../../config/settings.ts";
import type { IdempotencyStore } from "../../idempotency/store.ts";

/** The open store of sends. */
export interface OpenSends {
  readonly store: IdempotencyStore;
  close(): void;
}

/** The longest wait for a response of Valkey, in milliseconds. */
const valkeyTimeoutMs = 2_000;

/**
 * Opens the store that the settings name.
 *
 * @throws CommandError if it cannot be opened, or if Valkey may forget what it has confirmed
 */
export async function openSends({ dataDir, valkeyUrl }: Pick<Settings, "dataDir" | "valkeyUrl">): Promise<OpenSends> {
  if (valkeyUrl !== null) return openValkeySends(valkeyUrl);
  const { store, database } = await openStore(dataDir, auditFile, (opened) => {
    const guard = createFileGuard(join(dataDir, auditFile), systemClock.monotonic);
    return createSqliteIdempotencyStore(opened, systemClock, { guard });
  });
  // A busy SQLite blocks the event loop, so it returns almost at once and the guard waits instead.
  database.exec("PRAGMA busy_timeout = 10");
  return { store, close: () => database.close() };
}

/**
 * Opens the store in Valkey.
 *
 * @throws CommandError if Valkey may forget what it has confirmed, or does not respond
 */
export async function openValkeySends(valkeyUrl: string): Promise<OpenSends> {
  // Load the Valkey client only if it is used.
  const { connectValkey } = await import("@letta-environments/platform/valkey");
  const connection = connectValkey(valkeyUrl, { timeoutMs: valkeyTimeoutMs, onFailure: () => undefined });
  const close = (): void => void connection.close();
  try {
    await assertDurableValkey(connection);
  } catch (cause) {
    close();
    const reason = cause instanceof ValkeyNotDurableError ? cause.message : `${labelOf(valkeyUrl)} cannot be used`;
    throw new CommandError(`VALKEY_URL: ${reason}`, 1, { cause });
  }
  return { store: createValkeyIdempotencyStore(connection), close };
}

function labelOf(valkeyUrl: string): string {
  return `Valkey at ${parseValkeyUrl(valkeyUrl)?.label}`;
}

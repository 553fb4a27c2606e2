/**
 * Opens the store that remembers sends to a remote upstream in Valkey, if it is configured. Otherwise they are in the file of the audit
 * log, see `audit.ts`.
 */
import { CommandError } from "@letta-environments/command-line";
import { assertDurableValkey, ValkeyNotDurableError } from "../../adapters/valkey/durability.ts";
import { createValkeyIdempotencyStore } from "../../adapters/valkey/idempotency-store.ts";
import type { IdempotencyStore } from "../../idempotency/store.ts";
import { describeValkey, openValkey } from "./keys.ts";

/** The open store of sends. */
export interface OpenSends {
  readonly store: IdempotencyStore;
  close(): void;
}

/**
 * Opens the store in Valkey.
 *
 * @throws CommandError if Valkey may forget what it has confirmed, or does not respond
 */
export async function openValkeySends(valkeyUrl: string): Promise<OpenSends> {
  const connection = await openValkey(valkeyUrl);
  const close = (): void => void connection.close();
  try {
    await assertDurableValkey(connection);
  } catch (cause) {
    close();
    const reason =
      cause instanceof ValkeyNotDurableError ? cause.message : `${describeValkey(valkeyUrl)} cannot be used`;
    throw new CommandError(`VALKEY_URL: ${reason}`, 1, { cause });
  }
  return { store: createValkeyIdempotencyStore(connection), close };
}

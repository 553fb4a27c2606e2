/** Outages of the key store: the error that stores reject with, and one log event for each outage. */
import type { Clock } from "@letta-environments/platform";
import { rootCauseMessage } from "../lib/redact.ts";
import type { KeyStore } from "../ports.ts";
import type { Telemetry } from "../telemetry.ts";

/** The key store did not respond, or refused a change. A later attempt may succeed. The cause is for logs. */
export class KeyStoreUnavailableError extends Error {
  override readonly name = "KeyStoreUnavailableError";
  /** The store refused a change, which was not made. Otherwise it may have been made. */
  readonly isRefused: boolean;

  constructor(options?: ErrorOptions & { readonly isRefused?: boolean }) {
    super("the key store cannot be used", options);
    this.isRefused = options?.isRefused === true;
  }
}

/** The shortest time between two reports, in milliseconds: SQLite may fail to read some pages and not others. */
const reportMs = 60_000;

/**
 * Wraps a key store and reports each outage once, with its full cause, and at most once a minute. An outage begins with a call that gets
 * no response, or whose change is refused, and ends with the next call that succeeds.
 */
export function reportOutages(keyStore: KeyStore, telemetry: Telemetry, clock: Pick<Clock, "monotonic">): KeyStore {
  let isReported = false;
  let silentUntilMs = -Infinity;

  function fail(cause: unknown): never {
    if (cause instanceof KeyStoreUnavailableError && !isReported && clock.monotonic() >= silentUntilMs) {
      isReported = true;
      silentUntilMs = clock.monotonic() + reportMs;
      telemetry({ type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause), cause });
    }
    throw cause;
  }

  async function watch<Result>(call: Promise<Result>): Promise<Result> {
    const result = await call.catch(fail);
    isReported = false;
    return result;
  }

  return {
    find: (id) => watch(keyStore.find(id)),
    list: (query) => watch(keyStore.list(query)),
    summarize: (nowMs) => watch(keyStore.summarize(nowMs)),
    create: (record) => watch(keyStore.create(record)),
    update: (id, change) => watch(keyStore.update(id, change)),
    recordUse: (uses) => watch(keyStore.recordUse(uses)),
    lastUses: (ids) => watch(keyStore.lastUses(ids)),
    generation() {
      try {
        // It may come from memory, so it does not end an outage.
        return keyStore.generation();
      } catch (cause) {
        return fail(cause);
      }
    },
  };
}

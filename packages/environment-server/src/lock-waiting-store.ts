/** Stores that fail for a while: waiting for a locked file, and the response when that was not enough. */
import {
  type Clock,
  createSqliteRetry,
  isSqliteDiskFailure,
  sleep,
  SqliteLockedError,
  ValkeyError,
} from "@letta-environments/platform";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { maxStoreWaitMs } from "./limits.ts";
import type { EnvironmentStore } from "./ports.ts";

/**
 * Wraps a store whose file another process may lock: each call is repeated for a while, without blocking the event loop, and then
 * rejects with a SqliteLockedError. Every method of a store is atomic, so a call that found it locked had no effect. Other
 * failures are passed on.
 */
export function waitForLocks(store: EnvironmentStore, clock: Clock): EnvironmentStore {
  const pause = (durationMs: number): Promise<void> => sleep(clock, durationMs);
  const retry = createSqliteRetry({ monotonic: clock.monotonic, pause }, maxStoreWaitMs);
  return new Proxy(store, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== "function") return method;
      const run = /^(?:find|list|read)/.test(String(name)) ? retry.read : retry.write;
      return (...values: unknown[]) => run(() => Reflect.apply(method, target, values));
    },
  });
}

/** Returns 503 `storage_unavailable` for a failure of {@link waitForLocks}, the disk or a log in Valkey; else `null`. */
export function unavailableResponse(cause: unknown): PlainResponse | null {
  if (cause instanceof SqliteLockedError) return problemResponse("storage_unavailable");
  if (isSqliteDiskFailure(cause)) {
    const detail = "The environment database cannot be written; the disk may be full. Nothing was sent.";
    return problemResponse("storage_unavailable", { detail });
  }
  if (!(cause instanceof ValkeyError)) return null;
  const detail = "The store of statuses, approvals and events does not respond. Nothing was changed.";
  return problemResponse("storage_unavailable", { detail });
}

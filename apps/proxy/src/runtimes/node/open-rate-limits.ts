import { systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createMemoryRateLimitStore } from "../../adapters/memory-rate-limit-store.ts";
import { createSqliteRateLimitStore } from "../../adapters/sqlite-rate-limit-store.ts";
import { createValkeyRateLimitStore } from "../../adapters/valkey-rate-limit-store.ts";
import type { Settings } from "../../config/settings.ts";
import { createRateLimiter, type RateLimiter } from "../../rate-limit/create-rate-limiter.ts";
import type { RateLimitStore } from "../../rate-limit/rate-limit-store.ts";
import { openStore } from "./open-database.ts";

/** Where rate limits are counted, and the end of it. */
export interface OpenRateLimits {
  /** A limiter as the settings say; `null` where nothing is limited. All of them count in the same store. */
  limiterFor(settings: Settings): RateLimiter | null;
  close(): void;
}

/** How long after the deadline an answer of Valkey is still taken note of, in milliseconds. */
const lateAnswerMs = 10_000;

interface OpenRateLimitStore {
  readonly store: RateLimitStore;
  close(): void;
}

/**
 * Opens the store of rate limits that the settings name.
 *
 * @throws CommandError when its file cannot be opened. Valkey may be away: the policies say what happens meanwhile.
 */
export async function openRateLimits(settings: Settings, log: (event: LogEvent) => void): Promise<OpenRateLimits> {
  const localStore = createMemoryRateLimitStore(systemClock);
  const { store, close } = (await openRateLimitStore(settings)) ?? { store: localStore, close: () => undefined };
  return {
    limiterFor({ rateLimits: { deadlineMs, instances, limits } }) {
      if (limits.length === 0) return null;
      return createRateLimiter({
        store,
        localStore,
        clock: systemClock,
        deadlineMs,
        instances,
        onDegraded(event) {
          if (event.state === "degraded")
            log({ type: "rate_limits_degraded", reason: event.reason, cause: event.cause });
          else log({ type: "rate_limits_recovered", durationMs: event.durationMs, decisions: event.decisions });
        },
      });
    },
    close,
  };
}

async function openRateLimitStore({ dataDir, valkeyUrl, rateLimits }: Settings): Promise<OpenRateLimitStore | null> {
  if (rateLimits.store === "sqlite") {
    const { store, database } = await openStore(dataDir, "limits.sqlite", (opened) =>
      createSqliteRateLimitStore(opened, systemClock, rateLimits.deadlineMs),
    );
    return { store, close: () => database.close() };
  }
  if (rateLimits.store === "memory" || valkeyUrl === null) return null;
  const { connectValkey } = await import("@letta-environments/platform/valkey");
  // A connection of its own, whose failures reach the log through the limiter. The limiter keeps the deadline; the connection waits
  // longer, so that the lease of an answer that comes late is given back.
  const timeoutMs = rateLimits.deadlineMs + lateAnswerMs;
  const connection = connectValkey(valkeyUrl, { timeoutMs, onFailure: () => undefined });
  return { store: createValkeyRateLimitStore(connection), close: () => void connection.close() };
}

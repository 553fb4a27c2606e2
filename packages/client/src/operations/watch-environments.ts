import type { Environment } from "@letta-environments/schema";
import { isOnline } from "@letta-environments/schema/presence";
import { random } from "../adapters/chance.ts";
import { sleep } from "../adapters/time.ts";
import { checkValue } from "../check-value.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import { serverTimeMs } from "../server-time.ts";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { ListEnvironmentsInput } from "./list-environments.ts";
import { type KnownPages, readPages } from "./read-pages.ts";

/** What a watcher sees. The first look tells of every row as `appeared`. */
export interface EnvironmentEvent {
  /**
   * `online` and `offline` come before `changed`: one event a row and look. Heartbeats alone are no change. `gone`: the row is
   * not listed any more; it is the last one seen.
   */
  readonly type: "appeared" | "changed" | "online" | "offline" | "gone";
  readonly environment: Environment;
  /** Whether the device can be messaged now. */
  readonly online: boolean;
}

/** How to watch. */
export interface WatchOptions extends Omit<RequestOptions, "maxRetries"> {
  /** How often to look, in milliseconds; each wait is up to a second longer. Default 5,000. */
  readonly intervalMs?: number | undefined;
}

/**
 * Watches environments by asking again with the entity tag of the last answer, which costs next to nothing while nothing
 * changes. A device goes offline when the server says so or 120 s after its last heartbeat. Failures that may pass are waited out, at
 * least as long as `Retry-After` says; others are thrown as `LettaEnvironmentsError`. It ends when `signal` is aborted or the
 * iteration is left, also in the middle of a wait.
 */
export const watchEnvironments = (
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options: WatchOptions = {},
): AsyncGenerator<EnvironmentEvent, void, undefined> => {
  const ending = new AbortController();
  const either = AbortSignal.any([ending.signal, options.signal ?? ending.signal]);
  const events = look(transport, query, options, either);
  // Of its own accord a generator hears of the end only after its present wait.
  const end = events.return.bind(events);
  events.return = (value) => {
    ending.abort();
    return end(value);
  };
  return events;
};

async function* look(
  transport: Transport,
  query: ListEnvironmentsInput | null | undefined,
  { intervalMs = 5_000, ...options }: WatchOptions,
  signal: AbortSignal,
): AsyncGenerator<EnvironmentEvent, void, undefined> {
  let waitMs = checkValue("intervalMs", intervalMs);
  /** By id; `found` tells in which pass a row was seen last. */
  const rows = new Map<
    string,
    Omit<EnvironmentEvent, "type"> & { readonly text: string; readonly found: KnownPages }
  >();
  let pages: KnownPages | undefined;
  while (!signal.aborted) {
    try {
      const found: KnownPages = new Map();
      const read = readPages(transport, query, { ...options, signal, maxRetries: 0 }, pages, found);
      for await (const { data, response } of read) {
        for (const environment of data.connections) {
          const { id } = environment;
          const online = isOnline(environment, serverTimeMs(response));
          const text = JSON.stringify({ ...environment, lastHeartbeat: 0, lastSeenAt: 0 });
          const old = rows.get(id);
          rows.set(id, { environment, online, text, found });
          const type = !old
            ? "appeared"
            : old.online !== online
              ? online
                ? "online"
                : "offline"
              : old.text !== text && "changed";
          if (type) yield { type, environment, online };
        }
      }
      for (const [id, row] of rows)
        if (row.found !== found) {
          rows.delete(id);
          yield { type: "gone", environment: row.environment, online: false };
        }
      pages = found;
      waitMs = intervalMs;
    } catch (error) {
      if (signal.aborted) return;
      if (!isLettaEnvironmentsError(error) || !error.retryable) throw error;
      waitMs = Math.max(error.retryAfterMs ?? 0, Math.min(60_000, waitMs * 2));
    }
    await sleep(waitMs + random() * 1_000, signal);
  }
}

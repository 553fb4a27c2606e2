import type { Environment } from "@letta-environments/schema";
import { isOnline } from "@letta-environments/schema/presence";
import { checkValue } from "../check-value.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import { serverTimeMs } from "../server-time.ts";
import { sleep } from "../sleep.ts";
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
  /** How often to look, in milliseconds; each wait is up to a fifth longer. Default 5,000. */
  readonly intervalMs?: number | undefined;
}

/**
 * Watches environments by asking again with the entity tag of the last answer, which costs next to nothing while nothing
 * changes. A device goes offline when the server says so or 120 s after its last heartbeat. Failures that may pass are waited out, at
 * least as long as `Retry-After` says; others are thrown as `LettaEnvironmentsError`. It ends when `signal` is aborted or the
 * iteration is left, also in the middle of a wait.
 */
export function watchEnvironments(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options: WatchOptions = {},
): AsyncGenerator<EnvironmentEvent, void, undefined> {
  const ending = new AbortController();
  const events = look(transport, query, options, ending);
  // Of its own accord a generator hears of the end only after its present wait.
  const end = events.return.bind(events);
  events.return = (value) => {
    ending.abort();
    return end(value);
  };
  return events;
}

async function* look(
  transport: Transport,
  query: ListEnvironmentsInput | null | undefined,
  { intervalMs = 5_000, signal: callerSignal, ...options }: WatchOptions,
  ending: AbortController,
): AsyncGenerator<EnvironmentEvent, void, undefined> {
  const { clock, random } = transport;
  const everyMs = checkValue("intervalMs", intervalMs, /^[1-9]\d{0,8}$/);
  const { signal } = ending;
  const onAbort = (): void => ending.abort();
  callerSignal?.addEventListener("abort", onAbort);
  if (callerSignal?.aborted) onAbort();
  const rows = new Map<string, { readonly event: EnvironmentEvent; readonly text: string }>();
  let pages: KnownPages = new Map();
  let failures = 0;
  try {
    while (!signal.aborted) {
      let waitMs = everyMs;
      try {
        const found: KnownPages = new Map();
        const gone = new Set(rows.keys());
        const read = readPages(
          transport,
          { limit: 100, ...query },
          { ...options, signal, maxRetries: 0 },
          pages,
          found,
        );
        for await (const { data, response } of read) {
          const nowMs = serverTimeMs(clock, response);
          for (const environment of data.connections) {
            const { id } = environment;
            const online = isOnline(environment, nowMs);
            const text = JSON.stringify({ ...environment, lastHeartbeat: 0, lastSeenAt: 0 });
            const old = rows.get(id);
            const type = !old ? "appeared" : old.event.online !== online ? (online ? "online" : "offline") : "changed";
            const event: EnvironmentEvent = { type, environment, online };
            rows.set(id, { event, text });
            gone.delete(id);
            if (type !== "changed" || old?.text !== text) yield event;
          }
        }
        for (const id of gone) {
          const row = rows.get(id);
          rows.delete(id);
          if (row) yield { ...row.event, type: "gone", online: false };
        }
        pages = found;
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!isLettaEnvironmentsError(error) || !error.retryable) throw error;
        failures += 1;
        waitMs = Math.max(error.retryAfterMs ?? 0, Math.min(60_000, everyMs * 2 ** failures));
      }
      await sleep(clock, waitMs * (1 + random() / 5), signal);
    }
  } finally {
    callerSignal?.removeEventListener("abort", onAbort);
  }
}

/**
 * Watches environments by polling the list. Each page is requested with the entity tag of its last response, so that the
 * server responds 304 while nothing changes.
 */
import type { Environment } from "@letta-environments/schema";
import { isOnline } from "@letta-environments/schema/presence";
import { random, sleep } from "../adapters/platform.ts";
import { checkInteger, checkRecord } from "../check.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import { checkSignal, type RequestOptions } from "../options.ts";
import type { Transport } from "../transport.ts";
import { serverTimeMs } from "./device.ts";
import { type KnownPages, type ListEnvironmentsInput, readPages } from "./list.ts";

/** A change of an environment. The first poll reports every row as `appeared`. */
export interface EnvironmentEvent {
  /**
   * At most one event per row and poll: a row that went `online` or `offline` is not also reported as `changed`. A new heartbeat
   * alone is not a change. `gone` means that the row is no longer listed; `environment` is the last one seen.
   */
  readonly type: "appeared" | "changed" | "online" | "offline" | "gone";
  readonly environment: Environment;
  /** Whether the device can receive messages now. */
  readonly online: boolean;
}

/** Options of {@link watchEnvironments}. */
export interface WatchOptions extends Omit<RequestOptions, "maxRetries"> {
  /** Time between polls, in milliseconds. A random part of up to a second is added. Default 5,000. */
  readonly intervalMs?: number | undefined;
}

/**
 * Watches environments. A device goes offline when the server reports it, or 120 s after its last heartbeat. After a failure
 * that may pass, polling continues with growing waits of up to a minute, or as long as `Retry-After` asks; other failures are
 * thrown as `LettaEnvironmentsError`. The iteration ends when `signal` is aborted or the loop is left, also during a wait.
 */
export function watchEnvironments(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options: WatchOptions = {},
): AsyncGenerator<EnvironmentEvent, void, undefined> {
  const ending = new AbortController();
  const events = poll(transport, query, options, ending.signal);
  // By itself, `return` would only take effect after the present wait or request.
  const end = events.return.bind(events);
  events.return = (value) => {
    ending.abort();
    return end(value);
  };
  return events;
}

/** A row as last seen. */
interface SeenRow extends Omit<EnvironmentEvent, "type"> {
  /** Everything but heartbeats, for comparison. */
  readonly text: string;
  /** The poll that saw it last. */
  readonly pages: KnownPages;
}

async function* poll(
  transport: Transport,
  query: ListEnvironmentsInput | null | undefined,
  options: WatchOptions,
  left: AbortSignal,
): AsyncGenerator<EnvironmentEvent, void, undefined> {
  checkRecord("options", options);
  const { intervalMs = 5_000, ...requestOptions } = options;
  checkInteger("intervalMs", intervalMs);
  checkSignal(options.signal);
  const signal = AbortSignal.any([left, options.signal ?? left]);
  const rows = new Map<string, SeenRow>();
  let known: KnownPages | undefined;
  let waitMs = intervalMs;
  while (!signal.aborted) {
    try {
      const pages: KnownPages = new Map();
      const listed = readPages(transport, query, { ...requestOptions, signal, maxRetries: 0 }, known, pages);
      for await (const { data, response } of listed)
        for (const environment of data.connections) {
          const text = JSON.stringify({ ...environment, lastHeartbeat: 0, lastSeenAt: 0 });
          const row = { environment, online: isOnline(environment, serverTimeMs(response)), text, pages };
          const type = compare(rows.get(environment.id), row);
          rows.set(environment.id, row);
          if (type) yield { type, environment, online: row.online };
        }
      for (const [id, row] of rows)
        if (row.pages !== pages) {
          rows.delete(id);
          yield { type: "gone", environment: row.environment, online: false };
        }
      known = pages;
      waitMs = intervalMs;
    } catch (error) {
      if (signal.aborted) return;
      if (!isLettaEnvironmentsError(error) || !error.retryable) throw error;
      waitMs = Math.max(error.retryAfterMs ?? 0, Math.min(60_000, waitMs * 2));
    }
    await sleep(waitMs + random() * 1_000, signal);
  }
}

function compare(old: SeenRow | undefined, { online, text }: SeenRow): EnvironmentEvent["type"] | undefined {
  if (!old) return "appeared";
  if (old.online !== online) return online ? "online" : "offline";
  return old.text === text ? undefined : "changed";
}

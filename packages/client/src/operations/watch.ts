/**
 * Watches environments by polling the list. Each page is requested with the entity tag of its last response, so that the server
 * responds 304 while nothing changes. If the server streams events, they decide when to poll: within about half a second of a change,
 * and seldom otherwise.
 */
import type { Environment } from "@letta-environments/schema";
import { isOnline } from "@letta-environments/schema/presence";
import { monotonic, onAbort, random, sleep } from "../adapters/platform.ts";
import { checkInteger } from "../check.ts";
import { abortable } from "../abortable.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import type { RequestOptions } from "../options.ts";
import { serverTimeMs } from "../response.ts";
import type { Transport } from "../transport.ts";
import { streamEvents } from "./events.ts";
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
  /**
   * Time between polls, in milliseconds. A random part of up to a second is added. Default 5,000. While a stream of events is open, the
   * time is at least 30 s, because changes are seen without polls.
   */
  readonly intervalMs?: number | undefined;
}

/**
 * Watches environments. A device goes offline when the server reports it, or 120 s after its last heartbeat. After a
 * temporary failure, polling continues with waits that double, up to a minute or `intervalMs`, whichever is longer, or as long
 * as `Retry-After` says; other failures are thrown as `LettaEnvironmentsError`. The iteration ends when `signal` is aborted or
 * the loop is left, even during a wait.
 */
export function watchEnvironments(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options: WatchOptions = {},
): AsyncGenerator<EnvironmentEvent, void, undefined> {
  return abortable(options, (ended) => poll(transport, query, ended));
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
  { intervalMs = 5_000, ...requestOptions }: WatchOptions & { readonly signal: AbortSignal },
): AsyncGenerator<EnvironmentEvent, void, undefined> {
  const { signal } = requestOptions;
  checkInteger("intervalMs", intervalMs);
  const rows = new Map<string, SeenRow>();
  let changes: ChangeListener | undefined;
  let known: KnownPages | undefined;
  let waitMs = intervalMs;
  while (!signal.aborted) {
    let hasFailed = false;
    try {
      const pages: KnownPages = new Map();
      const listed = readPages(transport, query, { ...requestOptions, maxRetries: 0 }, known, pages);
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
      changes ??= listen(transport, requestOptions);
    } catch (error) {
      if (signal.aborted) return;
      if (!isLettaEnvironmentsError(error) || !error.retryable) throw error;
      waitMs = Math.max(error.retryAfterMs ?? 0, intervalMs, Math.min(60_000, waitMs * 2));
      hasFailed = true;
    }
    await (changes?.wait(waitMs, hasFailed) ?? sleep(waitMs + random() * 1_000, signal));
  }
}

/** Time between polls while events report changes, in milliseconds: presence also ends without a change. */
const relaxedMs = 30_000;

/** Changes within this time share one poll, in milliseconds. */
const settleMs = 500;

/** Time until a stream that hung at its beginning is tried again, in milliseconds. */
const hungMs = 300_000;

/** Waits for changes of environments. */
interface ChangeListener {
  /**
   * Resolves when the list should be read again: after the delay and up to a second more, or because something has changed. After a
   * failure the whole delay passes, because the server may have asked for it.
   */
  wait(delayMs: number, hasFailed: boolean): Promise<void>;
}

/** Listens for changes of environments, if the server streams events. Otherwise they are only polled. */
function listen(transport: Transport, options: RequestOptions & { readonly signal: AbortSignal }): ChangeListener {
  const { signal } = options;
  let isOpen = false;
  let hasChanged = false;
  let wakeController = new AbortController();
  const wakeForChange = (): void => {
    hasChanged = true;
    wakeController.abort();
  };
  const onOpen = (): void => {
    isOpen = true;
    // The stream does not have changes from before it was open.
    wakeForChange();
  };
  const onClose = (): void => {
    isOpen = false;
    wakeController.abort();
  };
  onAbort(signal, () => wakeController.abort());
  void (async () => {
    while (!signal.aborted) {
      try {
        for await (const { type } of streamEvents(transport, { ...options, onOpen, onClose }))
          if (type === "environment" || type === "gap") wakeForChange();
      } catch (error) {
        if (!isLettaEnvironmentsError(error) || !error.retryable) return;
      }
      await sleep(hungMs, signal);
    }
  })();
  return {
    async wait(delayMs, hasFailed) {
      const startedAtMs = monotonic() + random() * 1_000;
      if (hasFailed) await sleep(startedAtMs + delayMs - monotonic(), signal);
      else if (isOpen) await sleep(Math.min(delayMs, settleMs), signal);
      while (!hasFailed && !hasChanged && !signal.aborted) {
        const leftMs = startedAtMs + (isOpen ? Math.max(delayMs, relaxedMs) : delayMs) - monotonic();
        if (leftMs <= 0) break;
        wakeController = new AbortController();
        await sleep(leftMs, wakeController.signal);
      }
      hasChanged = false;
    },
  };
}

function compare(old: SeenRow | undefined, { online, text }: SeenRow): EnvironmentEvent["type"] | undefined {
  if (!old) return "appeared";
  if (old.online !== online) return online ? "online" : "offline";
  return old.text === text ? undefined : "changed";
}

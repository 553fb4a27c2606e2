import type { Environment } from "@letta-environments/schema";
import { isOnline } from "@letta-environments/schema/presence";
import { checkWholeNumber } from "../check-whole-number.ts";
import { isLettaEnvironmentsError } from "../error.ts";
import { sleep } from "../sleep.ts";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { ListEnvironmentsInput } from "./list-environments.ts";
import { type KnownPage, type KnownPages, readPages } from "./read-pages.ts";

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
  /** How often to look, in milliseconds; each wait varies by a fifth. Default 5,000. */
  readonly intervalMs?: number | undefined;
}

interface Known {
  readonly environment: Environment;
  readonly online: boolean;
  readonly text: string;
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
  const everyMs = checkWholeNumber("intervalMs", intervalMs, 1);
  const { signal } = ending;
  const onAbort = (): void => ending.abort();
  callerSignal?.addEventListener("abort", onAbort);
  if (callerSignal?.aborted) onAbort();
  let rows: ReadonlyMap<string, Known> = new Map();
  let pages: KnownPages = new Map();
  let failures = 0;
  try {
    while (!signal.aborted) {
      let waitMs = everyMs;
      try {
        const seen = await readRows(transport, query, { ...options, signal, maxRetries: 0 }, pages);
        yield* compare(rows, seen.rows);
        ({ rows, pages } = seen);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (!isLettaEnvironmentsError(error) || !error.retryable) throw error;
        failures += 1;
        waitMs = Math.max(error.retryAfterMs ?? 0, Math.min(60_000, everyMs * 2 ** failures));
      }
      await sleep(clock, waitMs * (failures === 0 ? 0.8 + random() * 0.4 : 1 + random() * 0.2), signal);
    }
  } finally {
    callerSignal?.removeEventListener("abort", onAbort);
  }
}

/** All pages as they are now. */
async function readRows(
  transport: Transport,
  query: ListEnvironmentsInput | null | undefined,
  options: RequestOptions,
  known: KnownPages,
): Promise<{ readonly rows: ReadonlyMap<string, Known>; readonly pages: KnownPages }> {
  const rows = new Map<string, Known>();
  const pages = new Map<string | undefined, KnownPage>();
  const read = readPages(transport, { limit: 100, ...query }, options, known);
  for await (const { after, data, nowMs, etag = known.get(after)?.etag } of read) {
    if (etag !== undefined) pages.set(after, { etag, data });
    for (const environment of data.connections) {
      const { lastHeartbeat: _heartbeat, lastSeenAt: _seen, ...lasting } = environment;
      rows.set(environment.id, { environment, online: isOnline(environment, nowMs), text: JSON.stringify(lasting) });
    }
  }
  return { rows, pages };
}

function* compare(
  before: ReadonlyMap<string, Known>,
  now: ReadonlyMap<string, Known>,
): Generator<EnvironmentEvent, void, undefined> {
  for (const [id, { environment, online, text }] of now) {
    const old = before.get(id);
    if (old === undefined) yield { type: "appeared", environment, online };
    else if (old.online !== online) yield { type: online ? "online" : "offline", environment, online };
    else if (old.text !== text) yield { type: "changed", environment, online };
  }
  for (const [id, { environment }] of before) {
    if (!now.has(id)) yield { type: "gone", environment, online: false };
  }
}

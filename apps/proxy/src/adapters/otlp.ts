/**
 * Pushes metrics and spans to a receiver of the OpenTelemetry protocol over HTTP, in its JSON encoding. Each signal has a bounded queue and one push
 * at a time. Failures are reported once until a push works again.
 */
import type { Clock } from "@letta-environments/platform";
import type { PlainHeaders } from "@letta-environments/schema";
import { runWithDeadline } from "../lib/deadline.ts";
import { parseJsonObject } from "../lib/json.ts";
import { readStream } from "../lib/read-stream.ts";
import type { OtlpSettings } from "../metrics/settings.ts";
import { parseRetryAfter } from "../upstream/retry.ts";
import { statusOf } from "./fetch-client.ts";

/** A kind of data that is pushed. */
export type OtlpSignal = "metrics" | "traces";

/** The body of a push, and the number of spans or points in it. */
export interface OtlpBatch {
  readonly body: object;
  readonly items: number;
}

/** Why data did not reach the receiver. `rejected`: it accepted the push but rejected a part of it. `expired`: it did not accept it in time. */
export type DropReason = "queue_full" | "refused" | "rejected" | "expired" | "stopped";

/** Reports that pushes fail, or work again. */
export type OtlpEvent =
  | { readonly type: "otlp_failed"; readonly signal: OtlpSignal; readonly cause: unknown }
  | { readonly type: "otlp_recovered"; readonly signal: OtlpSignal };

export interface OtlpPorts {
  readonly fetchUrl: typeof fetch;
  readonly clock: Clock;
  readonly random: () => number;
  readonly report: (event: OtlpEvent) => void;
  readonly onDropped: (signal: OtlpSignal, items: number, reason: DropReason) => void;
}

type Receiver = Pick<OtlpSettings, "endpoint" | "headers">;

/** The timeout of a push, in milliseconds. */
const timeoutMs = 10_000;

/** How long a stop waits for the last pushes of both signals, in milliseconds. */
export const maxEndMs = 2_000;

/** The longest time that a push waits, in milliseconds. */
export const maxPushAgeMs = 300_000;

/** Maximum number of queued spans. Any more are dropped. */
export const maxQueuedItems = 8_192;

/** Maximum length of a response that is read, in bytes after decompression. */
const maxResponseBytes = 65_536;

/** The longest timer, in milliseconds. Runtimes end one of more than 2^31 - 1 at once. */
const maxTimerMs = 2_000_000_000;

/** The delay after the first failure, in milliseconds. It doubles with each one. */
const firstDelayMs = 1_000;
const maxDelayMs = 30_000;

interface Waiting extends OtlpBatch {
  readonly addedAt: number;
}

/** Creates the pushes to one receiver. */
export function createOtlpPush(settings: Receiver, ports: OtlpPorts) {
  const ending = new AbortController();
  const queues = {
    metrics: createQueue("metrics", settings, ports, ending.signal),
    traces: createQueue("traces", settings, ports, ending.signal),
  };
  return {
    /** Queues a batch. New metrics replace queued ones, because their sums include them. */
    push: (signal: OtlpSignal, batch: OtlpBatch): void => queues[signal].push(batch),
    /** Sends the queue one last time, unless the receiver requested a pause, and stops after {@link maxEndMs} at the latest. Never rejects. */
    async end(): Promise<void> {
      const cancel = ports.clock.setTimer(maxEndMs, () => ending.abort());
      await Promise.all([queues.metrics.end(), queues.traces.end()]);
      cancel();
    },
  };
}

/** @param ended aborted when a stop waits no longer */
function createQueue(signal: OtlpSignal, settings: Receiver, ports: OtlpPorts, ended: AbortSignal) {
  const { clock, random, onDropped } = ports;
  const outage = createOutage(signal, ports.report, ended);
  let waiting: readonly Waiting[] = [];
  let running: Promise<void> | null = null;
  /** Cancels the pause before the next push; `null` if there is none. */
  let cancelPause: (() => void) | null = null;
  /** Monotonic time in milliseconds before which nothing may be sent. */
  let throttledUntilMs = 0;
  let isEnding = false;

  function remove(batch: Waiting, reason: DropReason | null): void {
    waiting = waiting.filter((other) => other !== batch);
    if (reason !== null) onDropped(signal, batch.items, reason);
  }

  /** Pushes a batch and removes it, or keeps it for a repeat. Returns the pause before the next push. */
  async function pushOne(batch: Waiting): Promise<number> {
    const sent = await send(signal, batch.body, settings, ports, ended);
    const failures = outage.count(sent);
    const ageMs = clock.monotonic() - batch.addedAt;
    const decision = decidePush(sent.response, { failures, ageMs, nowMs: clock.now(), random: random() });
    if (decision.kind === "delivered") {
      remove(batch, null);
      if (sent.rejected > 0) onDropped(signal, sent.rejected, "rejected");
      return 0;
    }
    const asksForPause = sent.response?.headers["retry-after"] !== undefined;
    throttledUntilMs = asksForPause ? clock.monotonic() + decision.pauseMs : 0;
    if (decision.kind === "dropped") remove(batch, decision.reason);
    // The newer sums include this push.
    else if (signal === "metrics" && waiting.length > 1) remove(batch, null);
    return decision.pauseMs;
  }

  async function run(): Promise<void> {
    for (let [batch] = waiting; batch !== undefined; [batch] = waiting) {
      const isExpired = clock.monotonic() - batch.addedAt > maxPushAgeMs;
      if (isExpired) remove(batch, "expired");
      const pauseMs = isExpired ? 0 : await pushOne(batch);
      if (pauseMs === 0) continue;
      if (isEnding) return;
      cancelPause = runAfter(clock, pauseMs, () => {
        cancelPause = null;
        start();
      });
      return;
    }
  }

  function start(): void {
    if (running !== null || cancelPause !== null) return;
    running = run().finally(() => {
      running = null;
      // A batch may have been queued since the queue was last checked.
      if (waiting.length > 0 && !isEnding) start();
    });
  }

  return {
    push(batch: OtlpBatch): void {
      const added = { ...batch, addedAt: clock.monotonic() };
      // The first one may be in flight.
      if (signal === "metrics") waiting = [...waiting.slice(0, running === null ? 0 : 1), added];
      else if (waiting.reduce((sum, { items }) => sum + items, batch.items) <= maxQueuedItems)
        waiting = [...waiting, added];
      else return onDropped(signal, batch.items, "queue_full");
      start();
    },
    async end(): Promise<void> {
      isEnding = true;
      await running;
      cancelPause?.();
      cancelPause = null;
      if (clock.monotonic() >= throttledUntilMs) start();
      await running;
      for (const batch of waiting) remove(batch, "stopped");
    },
  };
}

/** Runs `run` after a pause of any length. The returned function cancels it. */
function runAfter(clock: Clock, pauseMs: number, run: () => void): () => void {
  const timerMs = Math.min(pauseMs, maxTimerMs);
  let cancel = clock.setTimer(timerMs, () => {
    if (pauseMs === timerMs) run();
    else cancel = runAfter(clock, pauseMs - timerMs, run);
  });
  return () => cancel();
}

/** Counts failures in a row, and reports the first one and the next success. */
function createOutage(signal: OtlpSignal, report: OtlpPorts["report"], ended: AbortSignal) {
  let failures = 0;
  return {
    /** Returns how often in a row the receiver has failed. */
    count({ response, cause }: Sent): number {
      // A stop that ends the wait says nothing about the receiver.
      if (response === null && ended.aborted) return failures;
      const isTaken = response !== null && response.status < 300;
      if (isTaken && failures > 0) report({ type: "otlp_recovered", signal });
      failures = isTaken ? 0 : failures + 1;
      if (failures === 1) report({ type: "otlp_failed", signal, cause });
      return failures;
    },
  };
}

/** The response of a receiver; `null` if none came. */
type ReceiverResponse = { readonly status: number; readonly headers: PlainHeaders } | null;

/** The result of a push. */
interface Sent {
  readonly response: ReceiverResponse;
  /** Items that the receiver rejected from an accepted batch. */
  readonly rejected: number;
  /** Why the batch was not accepted. */
  readonly cause: unknown;
}

/** Sends a body. A failure is a value. The status of a response counts even if its body breaks or never ends. */
async function send(
  signal: OtlpSignal,
  body: object,
  { endpoint, headers }: Receiver,
  { clock, fetchUrl }: OtlpPorts,
  ended: AbortSignal,
): Promise<Sent> {
  const deadline = { atMs: clock.monotonic() + timeoutMs, signal: ended };
  const received: { response?: Response } = {};
  try {
    const outcome = await runWithDeadline(clock, deadline, async (aborted) => {
      received.response = await fetchUrl(`${endpoint}/v1/${signal}`, {
        method: "POST",
        headers: { ...headers, "content-type": "application/json" },
        body: JSON.stringify(body),
        redirect: "manual",
        signal: aborted,
      });
      // The connection is reused only if the body was read.
      return { response: received.response, bytes: await readStream(received.response.body, maxResponseBytes) };
    });
    if (outcome.kind !== "finished") throw new Error("the receiver did not respond in time");
    return sentOf(outcome.result.response, outcome.result.bytes);
  } catch (cause) {
    return received.response === undefined ? { response: null, rejected: 0, cause } : sentOf(received.response, null);
  }
}

/** @param bytes the body; `null` if it is unknown */
function sentOf(response: Response, bytes: Uint8Array | null): Sent {
  const status = statusOf(response);
  const retryAfter = response.headers.get("retry-after");
  return {
    response: { status, headers: retryAfter === null ? {} : { "retry-after": retryAfter } },
    rejected: response.ok && bytes !== null ? rejectedItems(new TextDecoder().decode(bytes)) : 0,
    cause: response.ok ? null : new Error(`the receiver responded with ${status}`),
  };
}

/** The decision on a push. `dropped`: it is not repeated. `pauseMs`: nothing may be sent earlier. */
type PushDecision =
  | { readonly kind: "delivered" }
  | { readonly kind: "dropped"; readonly reason: "refused" | "expired"; readonly pauseMs: number }
  | { readonly kind: "repeat"; readonly pauseMs: number };

/** The state of a queue of pushes. */
interface PushSituation {
  /** Number of consecutive failures of the receiver, including this one. */
  readonly failures: number;
  /** How long the push has waited, in milliseconds. */
  readonly ageMs: number;
  /** Wall time in epoch milliseconds, for a `Retry-After` with a date. */
  readonly nowMs: number;
  /** From 0 up to, but not including, 1. */
  readonly random: number;
}

const repeatable: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/**
 * Decides whether a push was delivered, is repeated or is dropped, as the OTLP/HTTP specification (1.5, "Failures" and "Throttling") requires: it is
 * repeated after 429, 502, 503 and 504 and without a response, with exponential backoff and jitter; `Retry-After` is obeyed; every other error
 * status is final.
 */
export function decidePush(response: ReceiverResponse, situation: PushSituation): PushDecision {
  const { failures, ageMs, nowMs, random } = situation;
  if (response !== null && response.status >= 200 && response.status < 300) return { kind: "delivered" };
  if (response !== null && !repeatable.has(response.status)) return { kind: "dropped", reason: "refused", pauseMs: 0 };
  const bound = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(failures - 1, 10));
  // At least half of the bound, and never before the receiver allows it.
  const jitter = Math.floor((bound / 2) * random);
  const retryAfterMs = response === null ? null : parseRetryAfter(response.headers, nowMs);
  const pauseMs = retryAfterMs === null ? bound / 2 + jitter : retryAfterMs + jitter;
  return ageMs + pauseMs > maxPushAgeMs ? { kind: "dropped", reason: "expired", pauseMs } : { kind: "repeat", pauseMs };
}

/** Returns how many items of an accepted push the receiver rejected (`partialSuccess`). They must not be repeated. */
export function rejectedItems(body: string): number {
  const partial = parseJsonObject(body)?.["partialSuccess"];
  if (typeof partial !== "object" || partial === null) return 0;
  const { rejectedSpans, rejectedDataPoints } = partial as Readonly<Record<string, unknown>>;
  // The JSON encoding writes 64-bit integers as text.
  const count = Number(rejectedSpans ?? rejectedDataPoints ?? 0);
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}

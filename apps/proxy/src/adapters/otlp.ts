/**
 * Pushes metrics and spans to a receiver of the OpenTelemetry protocol over HTTP, in its JSON encoding. `metrics/otlp-delivery.ts` decides
 * which pushes are repeated. Each signal has a bounded queue and one push at a time. Failures are reported once until a push works again.
 */
import type { Clock } from "@letta-environments/platform";
import {
  decidePush,
  type DropReason,
  maxPushAgeMs,
  type ReceiverResponse,
  rejectedItems,
} from "../metrics/otlp-delivery.ts";
import type { OtlpSettings } from "../metrics/settings.ts";

/** A kind of data that is pushed. */
export type OtlpSignal = "metrics" | "traces";

/** The body of a push, and the number of spans or points in it. */
export interface OtlpBatch {
  readonly body: object;
  readonly items: number;
}

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

/** The timeout of a push, in milliseconds. */
const timeoutMs = 10_000;

/** Maximum number of queued spans. Any more are dropped. */
export const maxQueuedItems = 8_192;

/** Maximum length of a response that is searched for rejected items, in characters. */
const maxReadResponse = 65_536;

interface Waiting extends OtlpBatch {
  readonly addedAt: number;
}

/** Creates the pushes to one receiver. */
export function createOtlpPush(settings: Pick<OtlpSettings, "endpoint" | "headers">, ports: OtlpPorts) {
  const queues = {
    metrics: createQueue("metrics", settings, ports),
    traces: createQueue("traces", settings, ports),
  };
  return {
    /** Queues a batch. New metrics replace queued ones, because their sums include them. */
    push: (signal: OtlpSignal, batch: OtlpBatch): void => queues[signal].push(batch),
    /** Sends the queue one last time, unless the receiver requested a pause, and stops. Never rejects. */
    async end(): Promise<void> {
      await Promise.all([queues.metrics.end(), queues.traces.end()]);
    },
  };
}

function createQueue(signal: OtlpSignal, settings: Pick<OtlpSettings, "endpoint" | "headers">, ports: OtlpPorts) {
  const { clock, random, onDropped } = ports;
  const outage = createOutage(signal, ports.report);
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
    const sent = await send(signal, batch.body, settings, ports.fetchUrl);
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
      cancelPause = clock.setTimer(pauseMs, () => {
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

/** Counts failures in a row, and reports the first one and the next success. */
function createOutage(signal: OtlpSignal, report: OtlpPorts["report"]) {
  let failures = 0;
  return {
    /** Returns how often in a row the receiver has failed. */
    count({ response, cause }: Sent): number {
      const isTaken = response !== null && response.status < 300;
      if (isTaken && failures > 0) report({ type: "otlp_recovered", signal });
      failures = isTaken ? 0 : failures + 1;
      if (failures === 1) report({ type: "otlp_failed", signal, cause });
      return failures;
    },
  };
}

/** The result of a push. Without a response there is a cause. */
interface Sent {
  readonly response: ReceiverResponse;
  /** Items that the receiver rejected from an accepted batch. */
  readonly rejected: number;
  readonly cause: unknown;
}

/** Sends a body. A failure is a value. */
async function send(
  signal: OtlpSignal,
  body: object,
  { endpoint, headers }: Pick<OtlpSettings, "endpoint" | "headers">,
  fetchUrl: typeof fetch,
): Promise<Sent> {
  try {
    const response = await fetchUrl(`${endpoint}/v1/${signal}`, {
      method: "POST",
      headers: { ...headers, "content-type": "application/json" },
      body: JSON.stringify(body),
      redirect: "error",
      signal: AbortSignal.timeout(timeoutMs),
    });
    // The connection is reused only if the body was read.
    const text = await response.text();
    const { status } = response;
    const retryAfter = response.headers.get("retry-after");
    return {
      response: { status, headers: retryAfter === null ? {} : { "retry-after": retryAfter } },
      rejected: response.ok && text.length <= maxReadResponse ? rejectedItems(text) : 0,
      cause: response.ok ? null : new Error(`the receiver responded with ${status}`),
    };
  } catch (cause) {
    return { response: null, rejected: 0, cause };
  }
}

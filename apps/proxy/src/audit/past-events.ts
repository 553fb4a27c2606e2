/**
 * Records what has already happened, such as a decision of a policy. Events that cannot be recorded wait and are appended again, in their order.
 */
import type { Clock } from "@letta-environments/platform";
import type { AuditEntry } from "./entry.ts";
import type { AuditLog } from "./log.ts";

/** The most events that wait. */
const maxWaiting = 10_000;

/** The most events that are appended together, because a commit blocks the process. */
const maxTogether = 100;

/** The pause after a failure, in milliseconds. */
const pauseMs = 1_000;

/** See {@link createPastEvents}. */
export interface PastEvents {
  add(entry: AuditEntry): void;
  /** Appends what still waits. Call it before the log closes. It never rejects. */
  end(): Promise<void>;
}

/**
 * Creates {@link PastEvents}.
 *
 * @param onFailure receives the first failure of an outage, and each loss
 */
export function createPastEvents(
  log: Pick<AuditLog, "append">,
  { clock, onFailure }: { readonly clock: Pick<Clock, "setTimer">; readonly onFailure: (cause: unknown) => void },
  capacity: number = maxWaiting,
): PastEvents {
  const waiting: AuditEntry[] = [];
  let appending: Promise<void> | null = null;
  let cancelPause: (() => void) | null = null;
  let isFailing = false;
  let isEnded = false;

  function begin(): void {
    cancelPause = null;
    appending ??= appendWaiting();
  }

  async function appendWaiting(): Promise<void> {
    while (waiting.length > 0) {
      const together = waiting.slice(0, maxTogether);
      const results = await Promise.allSettled(together.map((entry) => log.append(entry)));
      const failure = results.find(({ status }) => status === "rejected");
      waiting.splice(0, together.length, ...together.filter((_, index) => results[index]?.status === "rejected"));
      if (failure?.status === "rejected") {
        if (!isFailing) onFailure(failure.reason);
        if (!isEnded) cancelPause = clock.setTimer(pauseMs, begin);
      }
      isFailing = failure !== undefined;
      if (isFailing) break;
    }
    appending = null;
  }

  return {
    add(entry) {
      if (waiting.length >= capacity) {
        onFailure(new Error(`${capacity} other events wait already, so an event is not recorded`));
        return;
      }
      waiting.push(entry);
      if (cancelPause === null) begin();
    },
    async end() {
      isEnded = true;
      cancelPause?.();
      await appending;
      await appendWaiting();
      if (waiting.length > 0) onFailure(new Error(`${waiting.length} events are not recorded`));
    },
  };
}

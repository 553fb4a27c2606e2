/**
 * Records what has already happened, such as a decision of a policy. Events that cannot be recorded wait, and are appended again in their order,
 * before later ones.
 */
import type { Clock } from "@letta-environments/platform";
import type { AuditEntry } from "./entry.ts";
import type { AuditLog } from "./log.ts";

/** The most events that wait. */
const maxWaiting = 10_000;

/** The most events that are appended again together, because a commit blocks the process. */
const maxTogether = 100;

/** The pause after a failure, in milliseconds. */
const pauseMs = 1_000;

/** See {@link createPastEvents}. */
export interface PastEvents {
  add(entry: AuditEntry): void;
  /** Appends what still waits. Call it before the log closes. It never rejects. Later events are reported as lost. */
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
  const appending = new Set<Promise<void>>();
  let cancelPause: (() => void) | null = null;
  let isFailing = false;
  let isEnding = false;
  let isEnded = false;

  function keep(entry: AuditEntry): void {
    if (isEnded) return onFailure(new Error("the log closes, so an event is not recorded"));
    if (waiting.length >= capacity) {
      return onFailure(new Error(`${capacity} other events wait already, so an event is not recorded`));
    }
    waiting.push(entry);
    if (!isEnding) cancelPause ??= clock.setTimer(pauseMs, () => follow(appendWaiting()));
  }

  function follow(work: Promise<void>): void {
    appending.add(work);
    void work.finally(() => appending.delete(work));
  }

  async function appendWaiting(): Promise<void> {
    while (waiting.length > 0) {
      const together = waiting.splice(0, maxTogether);
      const results = await Promise.allSettled(together.map((entry) => log.append(entry)));
      const failed = together.filter((_, index) => results[index]?.status === "rejected");
      waiting.unshift(...failed);
      if (failed.length > 0) break;
    }
    isFailing = waiting.length > 0;
    cancelPause = isFailing && !isEnding ? clock.setTimer(pauseMs, () => follow(appendWaiting())) : null;
  }

  return {
    add(entry) {
      if (isFailing) return keep(entry);
      const appended = log.append(entry).catch((cause: unknown) => {
        if (!isFailing) onFailure(cause);
        isFailing = true;
        keep(entry);
      });
      follow(appended);
    },
    async end() {
      isEnding = true;
      cancelPause?.();
      while (appending.size > 0) await Promise.all(appending);
      await appendWaiting();
      while (appending.size > 0) await Promise.all(appending);
      isEnded = true;
      const lost = waiting.splice(0).length;
      if (lost > 0) onFailure(new Error(`${lost} events are not recorded`));
    },
  };
}

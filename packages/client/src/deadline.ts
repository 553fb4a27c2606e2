import type { Clock } from "./clock.ts";

/** Why a call had to end. */
export type DeadlineEnd = { readonly kind: "timeout" } | { readonly kind: "aborted"; readonly reason: unknown };

/** The time limit and the caller's signal of one call, as one signal. */
export interface Deadline {
  readonly signal: AbortSignal;
  /** `null` while the call may go on. */
  end(): DeadlineEnd | null;
  remainingMs(): number;
  /** Settles like the promise, but rejects as soon as the call has to end, whatever the promise does. */
  race<Value>(promise: Promise<Value>): Promise<Value>;
  sleep(delayMs: number): Promise<void>;
  /** Drops the timer and the listener on the caller's signal. */
  stop(): void;
}

/** Starts the deadline of one call; {@link Deadline.stop} must follow. */
export function startDeadline(clock: Clock, timeoutMs: number, callerSignal: AbortSignal | null): Deadline {
  const controller = new AbortController();
  const endsAtMs = clock.now() + timeoutMs;
  let ended: DeadlineEnd | null = null;

  const finish = (end: DeadlineEnd, reason: unknown): void => {
    if (ended !== null) return;
    ended = end;
    controller.abort(reason);
  };
  const onCallerAbort = (): void => finish({ kind: "aborted", reason: callerSignal?.reason }, callerSignal?.reason);
  const cancelTimer = clock.setTimer(timeoutMs, () =>
    finish({ kind: "timeout" }, new DOMException("The deadline has passed.", "TimeoutError")),
  );
  const stopped = new Promise<never>((_resolve, reject) => {
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason), { once: true });
  });
  // Whether somebody listens depends on the moment at which the call ends.
  stopped.catch(() => undefined);
  callerSignal?.addEventListener("abort", onCallerAbort, { once: true });
  if (callerSignal?.aborted === true) onCallerAbort();

  return {
    signal: controller.signal,
    end: () => ended,
    remainingMs: () => endsAtMs - clock.now(),
    race: (promise) => Promise.race([promise, stopped]),
    async sleep(delayMs) {
      let cancel = (): void => undefined;
      try {
        await Promise.race([new Promise<void>((resolve) => void (cancel = clock.setTimer(delayMs, resolve))), stopped]);
      } finally {
        cancel();
      }
    },
    stop() {
      cancelTimer();
      callerSignal?.removeEventListener("abort", onCallerAbort);
    },
  };
}

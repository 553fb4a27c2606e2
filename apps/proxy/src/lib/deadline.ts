/** Time limits on the monotonic clock: work that ends at a deadline or with its caller, and failed calls that are repeated for a while. */
import { type Clock, sleep } from "@letta-environments/platform";

/** The end of work: a time of the monotonic clock, in milliseconds, or when the client disconnects. */
export interface Deadline {
  readonly atMs: number;
  readonly signal: AbortSignal;
}

/** A signal for work that does not end with its caller. */
export const neverAborted: AbortSignal = new AbortController().signal;

/** The result of work under a deadline. */
export type DeadlineOutcome<Result> =
  | { readonly kind: "finished"; readonly result: Result }
  | { readonly kind: "timed_out" | "caller_gone" };

/**
 * Runs work until it ends, its time is up, or the caller goes away, whichever is first. In the last two cases its signal is
 * aborted, with the kind of the outcome as its reason, and the result is available immediately, so that work that ignores the signal cannot block the request.
 */
export function runWithDeadline<Result>(
  clock: Clock,
  deadline: Deadline,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<DeadlineOutcome<Result>> {
  if (deadline.signal.aborted) return Promise.resolve({ kind: "caller_gone" });
  const remainingMs = deadline.atMs - clock.monotonic();
  if (remainingMs <= 0) return Promise.resolve({ kind: "timed_out" });
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    const stop = (kind: "timed_out" | "caller_gone"): void => {
      settle();
      resolve({ kind });
      controller.abort(kind);
    };
    const onCallerGone = (): void => stop("caller_gone");
    const cancelTimer = clock.setTimer(remainingMs, () => stop("timed_out"));
    deadline.signal.addEventListener("abort", onCallerGone, { once: true });
    const settle = (): void => {
      cancelTimer();
      deadline.signal.removeEventListener("abort", onCallerGone);
    };
    run(controller.signal).then(
      (result) => {
        settle();
        resolve({ kind: "finished", result });
      },
      (cause: unknown) => {
        settle();
        reject(cause instanceof Error ? cause : new Error("the upstream call failed", { cause }));
      },
    );
  });
}

/** How {@link repeatUntilDone} repeats a call. */
export interface RepeatOptions {
  /** When to give up, in milliseconds. */
  readonly durationMs: number;
  /** The longest pause between two calls, in milliseconds. The first is 25 ms, and each is twice the one before. */
  readonly maxPauseMs: number;
  /** Whether the call is still needed. Default: always. */
  readonly isNeeded?: () => boolean;
}

/** Repeats a call that has just failed, until it succeeds, is no longer needed, or the time is up. Failures are not reported. */
export async function repeatUntilDone(
  clock: Clock,
  call: () => Promise<void>,
  { durationMs, maxPauseMs, isNeeded = () => true }: RepeatOptions,
): Promise<void> {
  const endMs = clock.monotonic() + durationMs;
  for (let pauseMs = 25; clock.monotonic() < endMs; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
    await sleep(clock, pauseMs);
    if (!isNeeded()) return;
    try {
      return await call();
    } catch {
      // The first failure was reported.
    }
  }
}

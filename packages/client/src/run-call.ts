import { callError } from "./call-error.ts";
import type { EnvironmentsError } from "./error-codes.ts";
import { isLettaEnvironmentsError } from "./error.ts";
import { exchange } from "./exchange.ts";
import { joinHeaders } from "./join-headers.ts";
import { readLimits } from "./read-limits.ts";
import { retryDelayMs } from "./retry.ts";
import type { Settings } from "./settings.ts";
import { tell } from "./tell.ts";
import type { RequestOptions } from "./transport-options.ts";
import type { TransportRequest, TransportResponse } from "./transport-request.ts";

/**
 * One call: attempts and waits under one deadline. As soon as that passes or the caller aborts it rejects, whatever an
 * attempt does. Rejects with a `LettaEnvironmentsError`.
 */
export function runCall<Value>(
  settings: Settings,
  request: TransportRequest<Value>,
  options: RequestOptions,
): Promise<TransportResponse<Value>> {
  return new Promise((resolve, reject) => {
    const { clock, onEvent } = settings;
    const { operation, method, path, body } = request;
    const { signal } = options;
    const { timeoutMs, maxRetries } = readLimits(options, settings);
    const endsAtMs = clock.now() + timeoutMs;
    const call = { operation, method, url: settings.baseUrl + path };
    const headers = joinHeaders(settings.headers, options.headers, request.headers, {
      accept: "application/json",
      authorization: `Bearer ${settings.apiKey}`,
    });
    const controller = new AbortController();
    let attempt = 0;
    // What the present attempt holds: a body that is being read, or the timer of a wait.
    let letGo = (): void => undefined;

    const finish = (error: EnvironmentsError | null, answer?: TransportResponse<Value>): void => {
      // What an attempt does after the end is of no interest.
      if (controller.signal.aborted) return;
      cancelTimer();
      signal?.removeEventListener("abort", onAbort);
      tell(onEvent, { type: "end", call, attempts: attempt, error, response: answer?.response ?? null });
      if (answer) resolve(answer);
      else reject(error);
    };
    const stop = (code: "aborted" | "timeout", cause: unknown): void => {
      finish(callError(request, code, null, { cause, ...(attempt < 1 && request.describeError?.(0, true)) }));
      controller.abort();
      letGo();
    };
    const onAbort = (): void => stop("aborted", signal?.reason);
    const cancelTimer = clock.setTimer(timeoutMs, () => stop("timeout", undefined));
    signal?.addEventListener("abort", onAbort);
    tell(onEvent, { type: "start", call });
    if (signal?.aborted) onAbort();
    else void run();

    async function run(): Promise<void> {
      for (;;) {
        attempt += 1;
        try {
          const answer = await exchange(
            settings,
            request,
            {
              ...call,
              call,
              attempt,
              signal: controller.signal,
              redirect: "manual",
              headers,
              ...(body && { body }),
            },
            (held) => void (letGo = held),
          );
          settings.tokens = Math.min(settings.retryBudget, settings.tokens + 0.1);
          return finish(null, answer);
        } catch (cause) {
          const error = isLettaEnvironmentsError(cause)
            ? cause
            : callError(request, "connection_failed", null, { cause });
          const delayMs = retryDelayMs(attempt, error.retryAfterMs, settings.random);
          // A wait that outlives the deadline would only hide what the server said.
          const isTimely = attempt <= maxRetries && delayMs < endsAtMs - clock.now();
          if (!error.retryable || !isTimely || settings.tokens < 1 || controller.signal.aborted) return finish(error);
          settings.tokens -= 1;
          tell(onEvent, { type: "retry", call, attempt, delayMs, error });
          await new Promise<void>((wake) => void (letGo = clock.setTimer(delayMs, wake)));
        }
      }
    }
  });
}

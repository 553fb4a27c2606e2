import { webClock } from "./adapters/web-clock.ts";
import { webRandom } from "./adapters/web-random.ts";
import { callError } from "./call-error.ts";
import { checkValue } from "./check-value.ts";
import type { Clock } from "./clock.ts";
import type { ClientErrorCode, EnvironmentsError } from "./error-codes.ts";
import { type ErrorDetails, isLettaEnvironmentsError } from "./error.ts";
import type { Call, HttpRequest, Next } from "./http-request.ts";
import { readProblem } from "./read-problem.ts";
import { maxRetryAfterMs, readRetryAfterMs, retryDelayMs } from "./retry.ts";
import { tell } from "./tell.ts";
import type { RequestOptions, TransportOptions } from "./transport-options.ts";
import type { TransportRequest, TransportResponse } from "./transport-request.ts";

/** Carries requests to a server. Operations are functions over it, so that it can be wrapped or replaced. */
export interface Transport {
  /** Time and chance, for operations that wait. */
  readonly clock: Clock;
  readonly random: () => number;
  /** Rejects with a `LettaEnvironmentsError`. */
  send<Value>(request: TransportRequest<Value>, options?: RequestOptions): Promise<TransportResponse<Value>>;
}

/** How long and how often a call may try. */
interface Limits {
  readonly timeoutMs: number;
  readonly maxRetries: number;
}

/**
 * Makes a transport over `fetch`: deadline, retries, size limit, no redirects.
 *
 * @throws LettaEnvironmentsError `invalid_argument` when an option is not usable; the key is never repeated.
 */
export function createTransport(options: TransportOptions): Transport {
  const { apiKey, baseUrl, middleware = [], clock = webClock, random = webRandom } = options;
  const { retryBudget = 10, maxResponseBytes = 2 ** 23, validate, onEvent, onMismatch, onDrift } = options;
  // Neither a quote nor a backslash, which JSON would write in another way: so an answer that repeats the key is recognised.
  checkValue("apiKey", apiKey, /^"[!#-[\]-~]+"$/);
  checkValue("baseUrl", URL.canParse(baseUrl) && baseUrl, /^"https?:\/\/[^@?#]+"$/i);
  checkValue("maxResponseBytes", maxResponseBytes, /^\d+$/);
  const limits = readLimits(options, { timeoutMs: 60_000, maxRetries: 2 });
  // Looked up at each call, so that a replaced global is seen, and called as a plain function, as browsers require.
  const next = [middleware].flat().reduceRight<Next>(
    (inner, step) => (request) => step(request, inner),
    (request) => (options.fetch ?? fetch)(request.url, request),
  );
  /** Retries that may still be made; a success gives a tenth back. */
  let tokens = checkValue("retryBudget", retryBudget, /^\d+$/);

  /** One attempt: request, answer, body, check. Rejects with a `LettaEnvironmentsError`, or with whatever broke the connection. */
  async function exchange<Value>(
    { safety, known, findMismatch, isUsable }: TransportRequest<Value>,
    attempt: HttpRequest,
  ): Promise<TransportResponse<Value>> {
    const response = await next(attempt);
    const { status, headers, ok } = response;
    const reader = response.body?.getReader();
    const giveUp = (): void => void reader?.cancel().catch(() => undefined);
    const fail = (code: ClientErrorCode, details?: Partial<ErrorDetails>): EnvironmentsError =>
      callError(safety, code, details, response);
    // For a `fetch` that knows no signals: its body is given up with the call.
    attempt.signal.addEventListener("abort", giveUp);
    try {
      if (status === 304 && known) return { ...known, response };
      // A browser hides the status of a redirect that it does not follow: it says 0.
      if (!ok && status < 400) throw fail("redirected");
      const decoder = new TextDecoder();
      let value: unknown;
      let text = "";
      let left = maxResponseBytes;
      try {
        while (reader && !attempt.signal.aborted) {
          const { done, value: piece } = await reader.read();
          if (done) break;
          left -= piece.length;
          if (left < 0) throw fail("response_too_large");
          text += decoder.decode(piece, { stream: true });
        }
        // Written anew there is one way to write the key, in names and in values.
        value = JSON.parse(ok ? text : JSON.stringify(JSON.parse(text)).replaceAll(apiKey, "***"));
      } catch (cause) {
        // The status of an error is worth more than its text. What is no JSON has no shape.
        if (ok && !(cause instanceof SyntaxError)) throw cause;
      }
      if (!ok)
        throw fail("http_error", { retryAfterMs: readRetryAfterMs(headers, clock.now()), ...readProblem(value) });
      const answer = { data: value as Value, response };
      const path = validate === "off" ? null : findMismatch(value);
      if (path !== null) tell(onMismatch, { ...answer, path });
      if ((path !== null && validate === "throw") || !isUsable(value))
        throw fail("invalid_response", { ...(path && { message: `invalid response: ${path}` }) });
      tell(onDrift, answer);
      return answer;
    } finally {
      giveUp();
    }
  }

  /** One call: attempts and waits under one deadline. As soon as that passes or the caller aborts it rejects, whatever an attempt does. */
  async function send<Value>(
    request: TransportRequest<Value>,
    callOptions: RequestOptions = {},
  ): Promise<TransportResponse<Value>> {
    const { operation, path, body, safety } = request;
    const { signal: callerSignal } = callOptions;
    const { timeoutMs, maxRetries } = readLimits(callOptions, limits);
    const endsAtMs = clock.now() + timeoutMs;
    const call: Call = { operation, method: body ? "POST" : "GET", url: baseUrl.replace(/\/+$/, "") + path };
    const headers: Record<string, string> = {};
    // Of two whose names differ in nothing but case the later one counts (RFC 9110 section 5.1), so that none is sent twice.
    for (const fields of [
      options.headers,
      callOptions.headers,
      request.headers,
      { accept: "application/json", authorization: `Bearer ${apiKey}` },
    ])
      for (const [name, value] of Object.entries({ ...fields })) headers[name.toLowerCase()] = value;
    const controller = new AbortController();
    const { signal } = controller;
    let attempt = 0;
    let error: EnvironmentsError | undefined;
    let cancelWait: (() => void) | undefined;
    let stop: (code: "aborted" | "timeout", cause?: unknown) => void;
    const stopped = new Promise<never>((_resolve, reject) => {
      stop = (code, cause) => {
        reject((error = callError(safety, code, { cause })));
        controller.abort();
      };
    });
    const onAbort = (): void => stop("aborted", callerSignal?.reason);

    tell(onEvent, { type: "start", call });
    const cancelTimer = clock.setTimer(timeoutMs, () => stop("timeout"));
    callerSignal?.addEventListener("abort", onAbort);
    try {
      if (callerSignal?.aborted) {
        onAbort();
        await stopped;
      }
      for (;;) {
        attempt += 1;
        try {
          const answer = await Promise.race([
            stopped,
            exchange(request, { ...call, call, attempt, signal, redirect: "manual", headers, body: body ?? null }),
          ]);
          tokens = Math.min(retryBudget, tokens + 0.1);
          error = undefined;
          return answer;
        } catch (cause) {
          error = isLettaEnvironmentsError(cause) ? cause : callError(safety, "connection_failed", { cause });
        }
        const delayMs = retryDelayMs(attempt, error.retryAfterMs, random);
        if (!error.retryable || attempt > maxRetries || tokens < 1) throw error;
        // A wait that outlives the deadline would only hide what the server said.
        if (delayMs > maxRetryAfterMs || delayMs >= endsAtMs - clock.now()) throw error;
        tokens -= 1;
        tell(onEvent, { type: "retry", call, attempt, delayMs, error });
        await Promise.race([stopped, new Promise<void>((wake) => (cancelWait = clock.setTimer(delayMs, wake)))]);
      }
    } finally {
      cancelTimer();
      cancelWait?.();
      callerSignal?.removeEventListener("abort", onAbort);
      tell(onEvent, { type: "end", call, attempts: attempt, error });
    }
  }

  return { clock, random, send };
}

/** Reads the limits of a call, or of all calls. @throws LettaEnvironmentsError `invalid_argument` naming the option. */
function readLimits(options: RequestOptions, defaults: Limits): Limits {
  const { timeout = defaults.timeoutMs, timeoutMs = timeout, maxRetries = defaults.maxRetries } = options;
  return {
    timeoutMs: checkValue("timeoutMs", timeoutMs, /^[1-9]\d{0,8}$/),
    maxRetries: checkValue("maxRetries", maxRetries, /^\d$/),
  };
}

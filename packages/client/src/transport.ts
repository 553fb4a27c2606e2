import { now, sleep, startAlarm } from "./adapters/time.ts";
import { random } from "./adapters/chance.ts";
import { callError } from "./call-error.ts";
import { checkValue } from "./check-value.ts";
import type { ClientErrorCode, EnvironmentsError, ErrorCode } from "./error-codes.ts";
import type { ErrorDetails } from "./error.ts";
import type { Call, HttpRequest, Next } from "./http-request.ts";
import { readProblem } from "./read-problem.ts";
import {
  type FailedAttempt,
  type RepeatSafety,
  isRepeatable,
  isUndelivered,
  maxRetryAfterMs,
  readRetryAfterMs,
  showsDeduplication,
} from "./retry.ts";
import { tell } from "./tell.ts";
import type { RequestOptions, TransportOptions } from "./transport-options.ts";
import type { TransportRequest, TransportResponse } from "./transport-request.ts";

/** Carries requests to a server. Operations are functions over it, so that it can be wrapped or replaced. */
export interface Transport {
  /** Rejects with a `LettaEnvironmentsError`. One of a request that is no `read` has its `outcome`; without one nothing was sent. */
  send<Value>(request: TransportRequest<Value>, options?: RequestOptions): Promise<TransportResponse<Value>>;
}

/** A failed attempt or call. */
interface Failure {
  readonly error: EnvironmentsError;
  /** Whether the response shows that no device received anything. */
  readonly isUndelivered: boolean;
}

/**
 * Makes a transport over `fetch`: deadline, retries, size limit, no redirects.
 *
 * @throws LettaEnvironmentsError `invalid_argument` when an option is not usable; the key is never repeated.
 */
export const createTransport = (options: TransportOptions): Transport => {
  const {
    apiKey,
    baseUrl,
    middleware = [],
    timeoutMs: usualTimeoutMs = 60_000,
    maxRetries: usualRetries = 2,
    maxResponseBytes = 2 ** 23,
    validate,
    onEvent,
    onMismatch,
    onDrift,
  } = options;
  // Neither a quote nor a backslash, which JSON would write in another way: so an answer that repeats the key is recognised.
  checkValue("apiKey", apiKey, /^"[!#-[\]-~]+$/);
  checkValue("baseUrl", URL.canParse(baseUrl) && baseUrl, /^"https?:\/\/[^@?#]+$/i);
  checkValue("timeoutMs", usualTimeoutMs);
  checkValue("maxRetries", usualRetries, /^\d$/);
  checkValue("maxResponseBytes", maxResponseBytes);
  // Looked up at each call, so that a replaced global is seen, and called as a plain function, as browsers require.
  const next = [middleware].flat().reduceRight<Next>(
    (inner, step) => (request) => step(request, inner),
    (request) => (options.fetch ?? fetch)(request.url, request),
  );
  /** Retries that all calls together may still make; a success gives a tenth back. */
  let tokens = 10;
  /** Whether a response has shown that the server deduplicates messages. */
  let deduplicates = false;

  /** The error of an attempt, and whether it shows that nothing was delivered. */
  const failure = (
    safety: RepeatSafety,
    code: ErrorCode,
    details?: Partial<ErrorDetails> | "",
    response?: Response,
  ): Failure => {
    const attempt: FailedAttempt = {
      safety,
      status: response?.status,
      code: (details && details.code) || code,
      shouldRetry: response?.headers.get("x-should-retry"),
      deduplicates,
    };
    return {
      error: callError(code, {
        retryable: code !== "aborted" && isRepeatable(attempt),
        status: response?.status,
        requestId: response?.headers.get("x-request-id"),
        ...(details || {}),
      }),
      isUndelivered: isUndelivered(attempt),
    };
  };

  /** One attempt: request, answer, body, check. Gives the error of an answer that is none to be used; rejects with whatever broke the connection. */
  const exchange = async <Value>(
    { safety, known, findMismatch }: TransportRequest<Value>,
    attempt: HttpRequest,
  ): Promise<TransportResponse<Value> | Failure> => {
    const response = await next(attempt);
    const { status, headers, ok } = response;
    deduplicates ||= showsDeduplication(headers);
    const reader = response.body?.getReader();
    const giveUp = (): void => void reader?.cancel().catch(() => undefined);
    const fail = (code: ClientErrorCode, details?: Partial<ErrorDetails> | ""): Failure =>
      failure(safety, code, details, response);
    // For a `fetch` that knows no signals: its body is given up with the call.
    attempt.signal.addEventListener("abort", giveUp);
    try {
      if (status === 304 && known) return { data: known, response };
      // A browser hides the status of a redirect that it does not follow: it says 0.
      if (!ok && status < 400) return fail("redirected");
      const decoder = new TextDecoder();
      let value: unknown;
      let text = "";
      let left = maxResponseBytes;
      try {
        while (reader && !attempt.signal.aborted) {
          const { done, value: piece } = await reader.read();
          if (done) break;
          left -= piece.length;
          if (left < 0) {
            if (ok) return fail("response_too_large");
            // The status of an error is worth more than its text.
            break;
          }
          text += decoder.decode(piece, { stream: true });
        }
        // Written anew there is one way to write the key, in names and in values.
        value = JSON.parse(ok ? text : JSON.stringify(JSON.parse(text)).replaceAll(apiKey, "***"));
      } catch (cause) {
        // Here too; and what is no JSON has no shape.
        if (ok && !(cause instanceof SyntaxError)) throw cause;
      }
      if (!ok) return fail("http_error", { retryAfterMs: readRetryAfterMs(headers, now()), ...readProblem(value) });
      const answer = { data: value as Value, response };
      const path = findMismatch(value);
      if (path !== null) {
        if (validate !== "off") tell(onMismatch, { ...answer, path });
        // Nobody can use an answer without the whole, the rows of a list, the id of a row, or whether a send succeeded.
        if (validate === "throw" || /^(connections(\[\d+])?|id|success)?$/.test(path))
          return fail("invalid_response", path && { message: `invalid response: ${path}` });
      }
      tell(onDrift, answer);
      return answer;
    } finally {
      giveUp();
    }
  };

  /** One call: attempts and waits under one deadline. As soon as that passes or the caller aborts it rejects, whatever an attempt does. */
  const send = async <Value>(
    request: TransportRequest<Value>,
    callOptions: RequestOptions = {},
  ): Promise<TransportResponse<Value>> => {
    const { operation, path, body = null, safety } = request;
    const {
      signal: callerSignal,
      timeoutMs = callOptions.timeout ?? usualTimeoutMs,
      maxRetries = usualRetries,
    } = callOptions;
    checkValue("timeoutMs", timeoutMs);
    checkValue("maxRetries", maxRetries, /^\d$/);
    const endsAtMs = now() + timeoutMs;
    const call: Call = { operation, method: body ? "POST" : "GET", url: baseUrl.replace(/\/+$/, "") + path };
    const headers: Record<string, string> = {};
    // Of two whose names differ in nothing but case the later one counts (RFC 9110 section 5.1), so that none is sent twice.
    for (const fields of [
      options.headers,
      callOptions.headers,
      request.headers,
      { accept: "application/json", authorization: `Bearer ${apiKey}` },
    ])
      for (const name in fields) headers[name.toLowerCase()] = fields[name] as string;
    const controller = new AbortController();
    const { signal } = controller;
    let outcome: "refused" | "unknown" = "refused";
    let attempt = 0;
    let error: EnvironmentsError | undefined;
    let stop: Failure | undefined;
    const stopped = new Promise<never>((_resolve, reject) => signal.addEventListener("abort", reject));
    const cancelAlarm = startAlarm(timeoutMs, callerSignal, () => {
      const code = callerSignal?.aborted ? "aborted" : "timeout";
      stop = failure(safety, code, { cause: callerSignal?.reason });
      controller.abort();
    });
    tell(onEvent, { type: "start", call });
    try {
      for (;;) {
        let failed: Failure;
        // Nothing is sent for a call that was stopped before, or while it waited.
        const isSent = !stop;
        try {
          const answer = await Promise.race([
            stopped,
            isSent
              ? exchange(request, { ...call, call, attempt: ++attempt, signal, redirect: "manual", headers, body })
              : stopped,
          ]);
          if (!("error" in answer)) {
            tokens = Math.min(10, tokens + 0.1);
            error = undefined;
            return answer;
          }
          failed = answer;
        } catch (cause) {
          // Whoever threw it: an error of ours that comes from elsewhere says nothing of this request.
          failed = stop ?? failure(safety, "connection_failed", { cause });
        }
        ({ error } = failed);
        const { retryable } = error;
        if (isSent && !failed.isUndelivered) outcome = "unknown";
        if (safety !== "read") Object.assign(error, { outcome });
        // Exponential back-off with full jitter, and never less than the server asked for.
        const delayMs = Math.max(random() * Math.min(8_000, 250 * 2 ** attempt), error.retryAfterMs ?? 0);
        if (!retryable || stop || attempt > maxRetries || tokens < 1) throw error;
        // A wait that outlives the deadline would only hide what the server said.
        if (delayMs > maxRetryAfterMs || delayMs >= endsAtMs - now()) throw error;
        tokens -= 1;
        tell(onEvent, { type: "retry", call, attempt, delayMs, error });
        await sleep(delayMs, signal);
      }
    } finally {
      cancelAlarm();
      tell(onEvent, { type: "end", call, attempts: attempt, error });
    }
  };

  return { send };
};

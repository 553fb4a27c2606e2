/**
 * Carries requests to a server over `fetch`, with a deadline, retries, a size limit and no redirects. A call is one or more
 * attempts under one deadline; it settles as soon as the deadline passes or the caller aborts, even if an attempt is still
 * running.
 */
import { monotonic, random, sleep, startAlarm } from "./adapters/platform.ts";
import {
  type ClientErrorCode,
  createError,
  type EnvironmentsError,
  invalidArgument,
  type NewErrorDetails,
} from "./error.ts";
import {
  notify,
  readRequestOptions,
  readTransportOptions,
  type RequestOptions,
  type TransportOptions,
  type TransportSettings,
} from "./options.ts";
import type { Call, HttpRequest, Next, TransportRequest, TransportResponse } from "./request.ts";
import {
  describeConnectionFailure,
  discard,
  findMissing,
  parseJson,
  readProblem,
  readText,
  serverTimeMs,
} from "./response.ts";
import {
  backOffMs,
  isRepeatable,
  isUndelivered,
  maxRetryAfterMs,
  readDeduplicationMs,
  readRetryAfterMs,
} from "./retry.ts";

/** Carries requests to a server. Operations are functions over it, so that it can be wrapped or replaced. */
export interface Transport {
  /** Rejects with a `LettaEnvironmentsError`. It has an `outcome` if the request is not a `read` and passed the checks of its options. */
  send<Value>(request: TransportRequest<Value>, options?: RequestOptions): Promise<TransportResponse<Value>>;
}

/**
 * Creates a transport over `fetch`.
 *
 * @throws LettaEnvironmentsError `invalid_argument` if an option breaks its rule; the key never appears in it.
 */
export function createTransport(options: TransportOptions): Transport {
  const settings = readTransportOptions(options);
  const connection: Connection = {
    settings,
    deduplicationMs: 0,
    retryTokens: maxRetryTokens,
  };
  return { send: async (request, callOptions) => sendWithRetries(connection, request, callOptions) };
}

/** Tokens that a repeat takes from the reserve. A success adds one. */
const tokensPerRetry = 10;

/** Size of the reserve: ten repeats. */
const maxRetryTokens = 100;

/** A transport's settings, and its state from earlier calls. */
interface Connection {
  readonly settings: TransportSettings;
  /** How long the server remembers message ids, according to its responses; 0 before the first. */
  deduplicationMs: number;
  /** Reserve of repeats of all calls together. */
  retryTokens: number;
}

/** A request with the time limit of its call. */
interface TimedRequest<Value> extends TransportRequest<Value> {
  readonly timeoutMs: number;
}

/** A failed attempt or call. */
interface Failure {
  readonly error: EnvironmentsError;
  /** Whether the response shows that no device received the request. */
  readonly isUndelivered: boolean;
}

async function sendWithRetries<Value>(
  connection: Connection,
  request: TransportRequest<Value>,
  callOptions: RequestOptions = {},
): Promise<TransportResponse<Value>> {
  const { baseUrl, onEvent } = connection.settings;
  const options = readRequestOptions(connection.settings, callOptions);
  const { timeoutMs, signal: callerSignal } = options;
  const { operation, body, safety, method = body ? "POST" : "GET" } = request;
  // A read that the server may delay chooses its path by the time limit.
  const timed = { ...request, ...request.within?.(timeoutMs), timeoutMs };
  const call: Call = { operation, method, url: baseUrl + timed.path };
  const headers = {
    ...options.headers,
    accept: "application/json",
    ...timed.headers,
    authorization: `Bearer ${connection.settings.apiKey}`,
  };
  const endsAtMs = monotonic() + timeoutMs;
  const last: LastResponse = {};
  const end = watchForEnd(timeoutMs, callerSignal, (code) =>
    fail(connection, timed, code, {
      message:
        code === "timeout"
          ? `no complete response from ${new URL(call.url).origin} within ${timeoutMs} ms`
          : "aborted by the caller",
      cause: callerSignal?.reason,
      requestId: last.requestId,
    }),
  );
  let outcome: "refused" | "unknown" = "refused";
  let attempt = 0;
  let error: EnvironmentsError | undefined;
  void notify(onEvent, { type: "start", call });
  try {
    for (;;) {
      // A call that ended before its first attempt, or during a wait, sends no further request.
      let result: TransportResponse<Value> | Failure;
      if (end.signal.aborted) result = await end.failure;
      else {
        attempt += 1;
        result = await Promise.race([
          end.failure,
          exchange(
            connection,
            timed,
            { ...call, call, attempt, signal: end.signal, redirect: "manual", headers, body: body ?? null },
            last,
          ),
        ]);
        if ("error" in result && !result.isUndelivered) outcome = "unknown";
      }
      if (!("error" in result)) {
        connection.retryTokens = Math.min(maxRetryTokens, connection.retryTokens + 1);
        error = undefined;
        return result;
      }
      ({ error } = result);
      if (safety !== "read") Object.assign(error, { outcome });
      const { retryAfterMs = 0 } = error;
      const delayMs = retryAfterMs + backOffMs(attempt, random());
      const mayRepeat =
        error.retryable &&
        !end.signal.aborted &&
        attempt <= options.maxRetries &&
        connection.retryTokens >= tokensPerRetry;
      // A wait beyond the deadline would only replace the server's error by a timeout.
      if (!mayRepeat || retryAfterMs > maxRetryAfterMs || delayMs >= endsAtMs - monotonic()) throw error;
      connection.retryTokens -= tokensPerRetry;
      void notify(onEvent, { type: "retry", call, attempt, delayMs, error });
      await sleep(delayMs, end.signal);
    }
  } finally {
    end.cancel();
    void notify(onEvent, { type: "end", call, attempts: attempt, error });
  }
}

/** The end of a call by its deadline or by the caller. */
interface CallEnd {
  /** Aborted at the end; attempts and waits run under it. */
  readonly signal: AbortSignal;
  /** Resolves at the end, with the failure that the caller receives; otherwise never. */
  readonly failure: Promise<Failure>;
  readonly cancel: () => void;
}

function watchForEnd(
  timeoutMs: number,
  callerSignal: AbortSignal | null | undefined,
  describe: (code: "aborted" | "timeout") => Failure,
): CallEnd {
  const controller = new AbortController();
  let cancel = (): void => undefined;
  const failure = new Promise<Failure>((resolve) => {
    cancel = startAlarm(timeoutMs, callerSignal, () => {
      // First, so that it wins the race against an attempt that ends because of the signal.
      resolve(describe(callerSignal?.aborted ? "aborted" : "timeout"));
      controller.abort();
    });
  });
  return { signal: controller.signal, failure, cancel };
}

/** The response to the present attempt, even one that breaks off. */
interface LastResponse {
  requestId?: string | null | undefined;
}

/** Makes one attempt: sends the request, reads the response and checks it. Never rejects. */
async function exchange<Value>(
  connection: Connection,
  request: TimedRequest<Value>,
  attempt: HttpRequest,
  last: LastResponse,
): Promise<TransportResponse<Value> | Failure> {
  const { apiKey, maxResponseBytes, middleware, validate, onMismatch, onDrift } = connection.settings;
  const { signal } = attempt;
  let response: Response | undefined;
  let isSent = false;
  let missing: EnvironmentsError | undefined;
  last.requestId = undefined;
  const failWith = (code: ClientErrorCode, details: NewErrorDetails): Failure =>
    fail(connection, request, code, { requestId: last.requestId, ...details }, response);
  const redact = (text: string): string => text.replaceAll(apiKey, "***");
  const from = (what: string): NewErrorDetails => ({ message: `${what} from ${new URL(attempt.url).origin}` });
  try {
    const next = middleware.reduceRight<Next>(
      (inner, step) => (given) => step(given, inner),
      (given) => {
        // The global `fetch` is looked up for each attempt, so that a replaced one is used, and called as a plain function.
        const { fetch = globalThis.fetch } = connection.settings;
        if (typeof fetch !== "function")
          throw (missing = invalidArgument("fetch", "is missing on this platform: pass the option fetch"));
        isSent = true;
        return fetch(given.url, given);
      },
    );
    response = await next(attempt);
    last.requestId = redact(response.headers.get("x-request-id") ?? "") || null;
    connection.deduplicationMs = readDeduplicationMs(response.headers) ?? connection.deduplicationMs;
    const { status, ok } = response;
    if (!ok && status >= 400) {
      const problem = await readProblem(response, apiKey, signal);
      return failWith("http_error", {
        ...from(`HTTP ${status}`),
        retryAfterMs: readRetryAfterMs(response.headers, serverTimeMs(response)),
        ...problem,
      });
    }
    if (!ok) {
      discard(response);
      // A redirect also has status 0: browsers hide which one it is.
      if (status === 304 && request.known) return { data: request.known, response };
      return failWith("redirected", from(status ? `HTTP ${status}` : "redirect"));
    }
    if (response.bodyUsed || response.body?.locked)
      return failWith("invalid_response", { message: "the response was already read, perhaps by middleware" });
    // A response that arrives after the end of the call is not opened, but read, which cancels it.
    if (request.open && !signal.aborted) return { data: request.open(response), response };
    const text = await readText(response, maxResponseBytes, signal);
    if (text === null) return failWith("response_too_large", from(`more than ${maxResponseBytes} bytes`));
    const data = parseJson(text) as Value;
    const path = request.findMismatch(data);
    if (path !== null) {
      if (validate !== "off") void notify(onMismatch, { data, response, path });
      const missing = validate === "throw" ? path : findMissing(request.needed ?? {}, data);
      if (missing !== null)
        return failWith("invalid_response", { message: `invalid response${missing && `: ${missing}`}` });
    }
    void notify(onDrift, { data, response });
    return { data, response, redact };
  } catch (cause) {
    if (missing && cause === missing) return { error: missing, isUndelivered: true };
    // Even for an error of this package that middleware throws, since it is not the server's response to this request.
    const message = isSent
      ? describeConnectionFailure(attempt.url, cause, response !== undefined)
      : "middleware failed without calling next";
    response = undefined;
    // Middleware may have sent the request itself, so the outcome of a send is unknown here too.
    return failWith("connection_failed", { cause, message, ...(!isSent && { retryable: false }) });
  }
}

/** Describes a failure of a request. A problem code among the details replaces `code`. */
function fail(
  { deduplicationMs }: Connection,
  { safety, timeoutMs }: Pick<TimedRequest<unknown>, "safety" | "timeoutMs">,
  code: ClientErrorCode,
  details: NewErrorDetails,
  response?: Response,
): Failure {
  const attempt = {
    ...details.problem,
    code,
    ...details,
    safety,
    status: response?.status,
    shouldRetry: response?.headers.get("x-should-retry"),
    // No repeat can be later than the end of the call.
    deduplicates: deduplicationMs > timeoutMs,
  };
  return {
    error: createError(code, {
      retryable: isRepeatable(attempt),
      status: response?.status,
      ...details,
    }),
    isUndelivered: isUndelivered(attempt),
  };
}

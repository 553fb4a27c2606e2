import type { Fetch, Middleware } from "./http-request.ts";
import type { Answer, AnswerMismatch, TransportEvent } from "./transport-event.ts";

/** How to reach a server. Numbers are whole, up to 999,999,999. What a hook (`on...`) throws is ignored. */
export interface TransportOptions {
  /** Absolute URL of the gateway or server; its path is kept (`https://example.com/letta` gives `/letta/v1/...`). */
  readonly baseUrl: string;
  /** Sent as `Authorization: Bearer`, to `baseUrl` only. Visible ASCII characters without `"` and `\`. */
  readonly apiKey: string;
  /** Default: the platform's `fetch`. */
  readonly fetch?: Fetch | undefined;
  /** Longest a call may take, with its retries and the body, in milliseconds. Default 60,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * How often a call may be repeated, 0 to 9. Default 2. All calls of a transport together have ten repeats in reserve, and ten successes give one
   * back, so that a failing server is not multiplied.
   */
  readonly maxRetries?: number | undefined;
  /** Largest answer to read, in bytes. Default 8 MiB. */
  readonly maxResponseBytes?: number | undefined;
  /** More request header fields, lower-case; in a browser the server has to allow each. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Stands between the client and `fetch`; the first is the outermost. */
  readonly middleware?: Middleware | readonly Middleware[] | undefined;
  /**
   * What becomes of an answer that has another shape than promised. `report` (the default) tells `onMismatch` and returns it,
   * `throw` is an `invalid_response` error, `off` tells nobody. An answer that nobody can use is an error under each.
   */
  readonly validate?: "report" | "throw" | "off" | undefined;
  readonly onMismatch?: ((mismatch: AnswerMismatch) => void) | undefined;
  /** Is given every answer; `createDriftReporter` makes one that looks for what is newer than this package. */
  readonly onDrift?: ((answer: Answer) => void) | undefined;
  readonly onEvent?: ((event: TransportEvent) => void) | undefined;
}

/** What a single call may set. */
export interface RequestOptions {
  /** Ends the call, also while it waits for a retry or reads the body. */
  readonly signal?: AbortSignal | null | undefined;
  /** Overrides the client's. */
  readonly timeoutMs?: number | undefined;
  /** The official SDK's name of `timeoutMs`. */
  readonly timeout?: number | undefined;
  /** Overrides the client's. */
  readonly maxRetries?: number | undefined;
  /** More request header fields, lower-case. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

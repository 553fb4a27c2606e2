/**
 * Options of a transport and of a single call: their types, defaults and checks, and how hooks are called. An option that breaks its
 * rule is an `invalid_argument` error before anything is sent.
 */
import { isText } from "@letta-environments/schema/guards";
import { check, checkFlag, checkFunction, checkInteger, checkRecord, checkToken } from "./check.ts";
import { type EnvironmentsError, invalidArgument } from "./error.ts";
import type { Call, Fetch, Middleware } from "./request.ts";

/** More request headers. The names are case-insensitive. `undefined` and `null` count as absent. */
export type HeadersInput = Headers | Readonly<Record<string, string | null | undefined>>;

/** How to reach a server. Numbers are integers up to 999,999,999. Errors and rejections of hooks (`on...`) are ignored. */
export interface TransportOptions {
  /** Absolute `https:` URL of the gateway or server; its path is kept (`https://example.com/letta` gives `/letta/v1/...`). */
  readonly baseUrl: string;
  /** Sent as `Authorization: Bearer`, to `baseUrl` only. Visible ASCII characters without `"` and `\`. */
  readonly apiKey: string;
  /** Allows an `http:` URL beyond loopback, where anyone on the network can read the key. Default `false`. */
  readonly allowInsecure?: boolean | undefined;
  /**
   * Default: the platform's `fetch`. Streams of events need responses whose `body` is a `ReadableStream`; without one, other responses are
   * read with `text()`.
   */
  readonly fetch?: Fetch | undefined;
  /** Time limit of a call with its retries and the response body, in milliseconds. Default 60,000. */
  readonly timeoutMs?: number | undefined;
  /**
   * How often a call may be repeated, 0 to 9. Default 2. All calls of a transport share a reserve of ten repeats, and ten
   * successes add one to it, so that the client does not multiply the load on a failing server.
   */
  readonly maxRetries?: number | undefined;
  /**
   * Size limit of a response body, in bytes (in characters if `fetch` provides no stream). Default 8 MiB. Whatever this limit is, each event of a
   * stream may have 8 Mi characters, and an error response of more than 64 KiB has no details.
   */
  readonly maxResponseBytes?: number | undefined;
  /** More request headers. The server must allow each of them for browsers. */
  readonly headers?: HeadersInput | undefined;
  /** Functions around `fetch`; the first is the outermost. */
  readonly middleware?: Middleware | readonly Middleware[] | undefined;
  /**
   * How to treat a response that differs from the API documentation: `report` (the default) calls `onMismatch` and returns
   * it, `throw` makes it an `invalid_response` error, `off` returns it. An unusable response is an error in every mode.
   */
  readonly validate?: "report" | "throw" | "off" | undefined;
  /** Called with each response that differs from the API documentation. */
  readonly onMismatch?: ((mismatch: ResponseMismatch) => void) | undefined;
  /** Called with each successful response. `createDriftReporter` makes a hook that finds members newer than this package. */
  readonly onDrift?: ((success: SuccessResponse) => void) | undefined;
  /** Called when a call starts, is repeated and ends. */
  readonly onEvent?: ((event: TransportEvent) => void) | undefined;
}

/** Options of a single call. */
export interface RequestOptions {
  /** Ends the call, even while it waits for a retry or reads the body. */
  readonly signal?: AbortSignal | null | undefined;
  /** Overrides the client's `timeoutMs`. */
  readonly timeoutMs?: number | undefined;
  /** Another name of `timeoutMs`, as in the official SDK. */
  readonly timeout?: number | undefined;
  /** Overrides the client's `maxRetries`. */
  readonly maxRetries?: number | undefined;
  /** More request headers; they override the client's. */
  readonly headers?: HeadersInput | undefined;
}

/** An event of a call, for logs and traces. */
export type TransportEvent =
  /** A call starts; nothing was sent yet. */
  | { readonly type: "start"; readonly call: Call }
  /** An attempt failed and is repeated after `delayMs` milliseconds. */
  | {
      readonly type: "retry";
      readonly call: Call;
      /** Number of the failed attempt, from 1. */
      readonly attempt: number;
      readonly delayMs: number;
      readonly error: EnvironmentsError;
    }
  /** A call ended, successfully if there is no error. */
  | {
      readonly type: "end";
      readonly call: Call;
      readonly attempts: number;
      readonly error: EnvironmentsError | undefined;
    };

/** A successful response, for `onDrift`. */
export interface SuccessResponse {
  readonly data: unknown;
  readonly response: Response;
}

/** A response that differs from the API documentation. */
export interface ResponseMismatch extends SuccessResponse {
  /** The first member that differs, such as `connections[3].lastSeenAt`; `""` if the whole value does. */
  readonly path: string;
}

/** Checked options of a transport, with their defaults. `baseUrl` has no slash at its end, and headers have lower-case names. */
export interface TransportSettings extends TransportOptions {
  readonly timeoutMs: number;
  readonly maxRetries: number;
  readonly maxResponseBytes: number;
  readonly middleware: readonly Middleware[];
  readonly headers: Readonly<Record<string, string>>;
}

/** Checks the options of a transport. @throws LettaEnvironmentsError `invalid_argument` */
export function readTransportOptions(options: TransportOptions): TransportSettings {
  checkRecord("options", options);
  const { apiKey, allowInsecure = false, maxResponseBytes = 2 ** 23, validate = "report" } = options;
  const middleware = [options.middleware ?? []].flat();
  checkToken("apiKey", apiKey);
  checkFlag("allowInsecure", allowInsecure);
  checkInteger("maxResponseBytes", maxResponseBytes);
  check("validate", ["report", "throw", "off"].includes(validate), 'must be "report", "throw" or "off"');
  for (const name of ["fetch", "onEvent", "onMismatch", "onDrift"] as const)
    if (options[name] !== undefined) checkFunction(name, options[name]);
  for (const step of middleware) checkFunction("middleware", step);
  const baseUrl = readBaseUrl(options.baseUrl, allowInsecure);
  const defaults = { timeoutMs: 60_000, maxRetries: 2, headers: {} };
  return { ...options, baseUrl, maxResponseBytes, middleware, ...readRequestOptions(defaults, options) };
}

/** Checks the options of a call and adds the options of its transport. @throws LettaEnvironmentsError `invalid_argument` */
export function readRequestOptions(
  defaults: Pick<TransportSettings, "timeoutMs" | "maxRetries" | "headers">,
  options: RequestOptions,
): Pick<TransportSettings, "timeoutMs" | "maxRetries" | "headers"> & Pick<RequestOptions, "signal"> {
  checkRecord("options", options);
  const { signal, maxRetries = defaults.maxRetries, timeoutMs = options.timeout ?? defaults.timeoutMs } = options;
  checkInteger("timeoutMs", timeoutMs);
  checkInteger("maxRetries", maxRetries, 0, 9);
  checkSignal(signal);
  return { signal, timeoutMs, maxRetries, headers: { ...defaults.headers, ...readHeaders(options.headers) } };
}

/** @throws LettaEnvironmentsError `invalid_argument` unless the value is an `AbortSignal`, `null` or absent. */
export function checkSignal(signal: AbortSignal | null | undefined): void {
  // Checks members, because a signal may come from another realm or a polyfill.
  const isSignal =
    signal === null ||
    signal === undefined ||
    (typeof signal.aborted === "boolean" && typeof signal.removeEventListener === "function");
  check("signal", isSignal, "must be an AbortSignal");
}

/** Calls a hook and ignores its errors and rejections: a failing log must not turn a delivered message into an error. */
export async function notify(hook: (() => unknown) | undefined): Promise<void>;
export async function notify<Event>(hook: ((event: Event) => unknown) | undefined, event: Event): Promise<void>;
export async function notify(hook: ((event?: unknown) => unknown) | undefined, event?: unknown): Promise<void> {
  try {
    await hook?.(event);
  } catch {
    // Documented to be ignored.
  }
}

/** Loopback addresses, whose traffic does not leave the machine (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5.3). */
const loopbackHost = /^(localhost|127(\.\d+){3}|\[::1\])$/;

function readBaseUrl(text: string, allowInsecure: boolean): string {
  try {
    const { protocol, hostname, username, password, href } = new URL(text);
    const isAllowedHttp = protocol === "http:" && (allowInsecure || loopbackHost.test(hostname));
    if (isText(text) && (protocol === "https:" || isAllowedHttp) && !(username + password) && !/[?#]/.test(text))
      return href.replace(/\/+$/, "");
  } catch {
    // Not a URL.
  }
  throw invalidArgument("baseUrl", baseUrlRule);
}

const baseUrlRule =
  "must be an https: URL (http: is allowed for loopback addresses, or with allowInsecure: true) without credentials, query or fragment";

function readHeaders(headers: HeadersInput | undefined): Readonly<Record<string, string>> {
  if (headers === undefined) return {};
  try {
    // Of the platform or of a polyfill.
    const given = Symbol.iterator in headers ? [...headers] : Object.entries(headers);
    const present = given.filter((header): header is [string, string] => (header[1] ?? null) !== null);
    return Object.fromEntries(new Headers(present));
  } catch {
    throw invalidArgument("headers", "must be a Headers object or an object of valid header names and values");
  }
}

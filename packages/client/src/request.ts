/**
 * The shapes that a call passes through: an operation hands a {@link TransportRequest} to a transport, the transport makes
 * {@link HttpRequest} attempts through {@link Middleware}, and the caller gets a {@link PendingCall}.
 */
import type { Operation } from "@letta-environments/schema";
import type { RepeatSafety } from "./retry.ts";

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** One call with all its attempts. Events and attempts of a call hold the same object. */
export interface Call {
  readonly operation: Operation;
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly url: string;
}

/** One attempt of a call, as middleware sees it. `fetch` gets it as its second argument. */
export interface HttpRequest extends RequestInit {
  readonly url: string;
  readonly method: "GET" | "POST" | "PATCH" | "DELETE";
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Number of the attempt, from 1. */
  readonly attempt: number;
  readonly call: Call;
}

/** Passes an attempt to the next middleware, or to `fetch` at the end of the chain. */
export type Next = (request: HttpRequest) => Promise<Response>;

/**
 * Runs around `fetch`, once for each attempt. It may change the request (pass a copy to `next`), change or replace the
 * response, or call `next` again or not at all. If it fails without having called `next`, nothing is repeated, and the
 * outcome of a send is `unknown`. To replace the transport itself, use the option `fetch`.
 */
export type Middleware = (request: HttpRequest, next: Next) => Promise<Response>;

/** Members of a query or a patch as callers pass them: `undefined` is the same as absent, and lists may be read-only. */
export type InputOf<Value> = { readonly [Name in keyof Value]?: AsReadonly<Value[Name]> | undefined };

/** The same members, but lists may be read-only, as in a value declared `as const`. */
export type ReadonlyLists<Value> = { readonly [Name in keyof Value]: AsReadonly<Value[Name]> };

type AsReadonly<Value> = Value extends readonly (infer Item)[] ? readonly Item[] : Value;

/** One request of an operation. */
export interface TransportRequest<Value> {
  readonly operation: Operation;
  /** Percent-encoded pathname below the base URL, with the query. */
  readonly path: `/${string}`;
  /** Lower-case names. They override the caller's headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Returns the path or headers for the time limit of the call, in milliseconds, so that a server that delays its response stays within it. */
  readonly within?: (timeoutMs: number) => Partial<Pick<TransportRequest<Value>, "path" | "headers">>;
  /** JSON text, the same for every attempt. */
  readonly body?: string;
  /** POST for a request with a body and GET for others, unless it is given. */
  readonly method?: "PATCH" | "DELETE";
  readonly safety: RepeatSafety;
  /** Returns the path of the first member that differs from the API documentation, `null` if none does. */
  readonly findMismatch: (value: unknown) => string | null;
  /**
   * The minimum for a response that differs from the API documentation: the members of this sample, with the same types; in a list, each item must
   * have the members of the sample's item. Any other response is an error. Default: any object.
   */
  readonly needed?: object | undefined;
  /** The value to return if the server responds 304 to an entity tag in `headers`. */
  readonly known?: Value | undefined;
  /** Makes the value of a response whose body is a stream. The deadline of the call ends with the header of the response. */
  readonly open?: ((response: Response) => Value) | undefined;
}

/** A successful response. */
export interface TransportResponse<Value> {
  readonly data: Value;
  /** Its body is already read. Its headers identify the request (`x-request-id`) and describe caching and rate limits. */
  readonly response: Response;
  /** Replaces the API key in a text of the response, which an error may then contain. */
  readonly redact?: ((text: string) => string) | undefined;
}

/** A call in progress: await it for the value, or use {@link PendingCall.withResponse}. */
export interface PendingCall<Value> extends Promise<Value> {
  /** Resolves to the value together with the HTTP response, whose body is already read. */
  withResponse(): Promise<TransportResponse<Value>>;
}

/** Starts a call. An error that `start` throws rejects the call. */
export function pendingCall<Value>(start: () => Promise<TransportResponse<Value>>): PendingCall<Value> {
  const result = start();
  const value = result.then(({ data }) => data) as PendingCall<Value>;
  value.withResponse = () => {
    // The caller handles the failure on `result`; without this it would also count as unhandled on `value`.
    value.catch(() => undefined);
    return result;
  };
  return value;
}

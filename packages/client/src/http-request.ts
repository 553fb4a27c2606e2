import type { Operation } from "@letta-environments/schema";

/** The part of `fetch` that the client uses. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** One attempt of a call, as middleware sees it. It is also what `fetch` gets as its second argument. */
export interface HttpRequest extends RequestInit {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** From 1. */
  readonly attempt: number;
  readonly call: Call;
}

/** What belongs to one call, over all its attempts. Events and attempts of a call hold the same object. */
export interface Call {
  readonly operation: Operation;
  readonly method: "GET" | "POST";
  readonly url: string;
}

/** Carries an attempt to the next middleware, and at last to `fetch`. */
export type Next = (request: HttpRequest) => Promise<Response>;

/**
 * Stands between the client and `fetch`, once for each attempt. It may change the request (hand a copy to `next`), change or
 * replace the answer, call `next` again, or not at all.
 */
export type Middleware = (request: HttpRequest, next: Next) => Promise<Response>;

import type { Operation } from "@letta-environments/schema";
import type { ErrorDetails } from "./error.ts";
import type { RepeatSafety } from "./retry.ts";

/** One request of an operation. */
export interface TransportRequest<Value> {
  readonly operation: Operation;
  readonly method: "GET" | "POST";
  /** Percent-encoded pathname below the base URL, and the query. */
  readonly path: `/${string}`;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** JSON text, the same for every attempt. */
  readonly body?: string;
  readonly repeatSafety: RepeatSafety;
  /**
   * What an error of this request tells besides what is told of each, by the status (`null` without an answer; 0 when nothing was
   * sent) and whether a repeat is safe.
   */
  readonly describeError?: (status: number | null, isRetryable: boolean) => Partial<ErrorDetails>;
  /** Whether a caller can do anything with an answer: the little that holds whatever the response policy is. */
  readonly isUsable: (value: unknown) => value is Value;
  /** Path of the first member that is not as promised. */
  readonly findMismatch: (value: unknown) => string | null;
  /** An answer that the caller has already; it is given again when the server says 304 to its entity tag. */
  readonly known?: { readonly etag: string; readonly data: Value } | undefined;
}

/** A success. */
export interface TransportResponse<Value> {
  readonly data: Value;
  /** Its body is read already. Header fields tell of the request (`x-request-id`), of caches (`cache-status`) and of limits (`ratelimit`). */
  readonly response: Response;
}

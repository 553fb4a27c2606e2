import type { Operation } from "@letta-environments/schema";
import type { RepeatSafety } from "./retry.ts";

/** One request of an operation. */
export interface TransportRequest<Value> {
  readonly operation: Operation;
  /** Percent-encoded pathname below the base URL, and the query. */
  readonly path: `/${string}`;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** JSON text, the same for every attempt. A request that has one is a POST. */
  readonly body?: string;
  readonly safety: RepeatSafety;
  /** Path of the first member that is not as promised. */
  readonly findMismatch: (value: unknown) => string | null;
  /** An answer that the caller has already; it is given again when the server says 304 to its entity tag in `headers`. */
  readonly known?: Value | undefined;
}

/** A success. */
export interface TransportResponse<Value> {
  readonly data: Value;
  /** Its body is read already. Header fields tell of the request (`x-request-id`), of caches (`cache-status`) and of limits (`ratelimit`). */
  readonly response: Response;
}

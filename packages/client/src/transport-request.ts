import type { RepeatSafety } from "./retry.ts";

/** One request of an operation. */
export interface TransportRequest {
  readonly method: "GET" | "POST";
  /** Percent-encoded pathname below the base URL. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** JSON text, the same for every attempt; `null` when there is none. */
  readonly body: string | null;
  readonly repeatSafety: RepeatSafety;
  /** Ids by which the server recognises a repeated send; they are given back with an error. */
  readonly clientMessageIds: readonly string[];
}

/** A success: the parsed JSON body, not yet checked. */
export interface TransportResponse {
  readonly status: number;
  readonly headers: Headers;
  readonly value: unknown;
}

import type { Operation } from "@letta-environments/schema";
import type { EnvironmentsError } from "./error-codes.ts";
import type { Call } from "./http-request.ts";

/** What happens to calls, for logs and traces. */
export type TransportEvent =
  /** A call begins; nothing was sent yet. */
  | { readonly type: "start"; readonly call: Call }
  /** An attempt failed and another one follows after `delayMs`. */
  | {
      readonly type: "retry";
      readonly call: Call;
      /** The attempt that failed, from 1. */
      readonly attempt: number;
      readonly delayMs: number;
      readonly error: EnvironmentsError;
    }
  /** A call ended: with a response, or with an error. */
  | {
      readonly type: "end";
      readonly call: Call;
      readonly attempts: number;
      readonly error: EnvironmentsError | null;
      readonly response: Response | null;
    };

/** An answer that has another shape than the API promises. */
export interface AnswerMismatch {
  readonly operation: Operation;
  /** The first member that differs, such as `connections[3].lastSeenAt`; never its value. */
  readonly path: string;
  readonly response: Response;
}

/** A successful answer, for whoever looks for drift in it. */
export interface Answer {
  readonly operation: Operation;
  readonly value: unknown;
  readonly response: Response;
}

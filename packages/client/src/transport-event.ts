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
  /** A call ended; without an error it succeeded. */
  | {
      readonly type: "end";
      readonly call: Call;
      readonly attempts: number;
      readonly error: EnvironmentsError | undefined;
    };

/** A successful answer, for whoever looks for drift in it. */
export interface Answer {
  readonly data: unknown;
  readonly response: Response;
}

/** An answer that has another shape than the API promises. */
export interface AnswerMismatch extends Answer {
  /** The first member that differs, such as `connections[3].lastSeenAt`; `""` when the whole does. */
  readonly path: string;
}

import type { Operation } from "@letta-environments/schema";

/** Something that happened in the pipeline. Events carry ids only: no key, no message, no address of a caller. */
export type ProxyEvent =
  | {
      /** A request was answered, or an upgrade was decided. */
      readonly type: "request";
      readonly requestId: string;
      readonly method: string;
      /** `null` when no endpoint matched. */
      readonly operation: Operation | null;
      /** HTTP status; 101 for an accepted upgrade, 499 when the caller had gone. */
      readonly status: number;
      readonly durationMs: number;
      readonly tenant: string | null;
      readonly keyId: string | null;
    }
  | {
      /** A defect: the caller got 500 `internal_error`. */
      readonly type: "internal_error";
      readonly requestId: string;
      readonly cause: unknown;
    }
  | {
      /** The upstream could not be used; the caller got a problem. */
      readonly type: "upstream_failed";
      readonly operation: Operation;
      readonly reason: string;
      readonly cause: unknown;
    };

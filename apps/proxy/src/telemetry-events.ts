import type { Operation } from "@letta-environments/schema";
import type { AdminOperation } from "./admin/admin-endpoints.ts";
import type { RateLimitDegradation } from "./rate-limit/rate-limit-store.ts";

/** What a request wants: an operation of the API, of the administration, or the rate limits themselves. */
export type TracedOperation = Operation | AdminOperation | "retrieveRateLimit";

/** Something that happened in the pipeline. Events carry ids only: no key, no message; an address only where it must count. */
export type ProxyEvent =
  | {
      /** A request was answered, or an upgrade was decided. */
      readonly type: "request";
      readonly requestId: string;
      readonly method: string;
      /** `null` when no endpoint matched. */
      readonly operation: TracedOperation | null;
      /** HTTP status; 101 for an accepted upgrade, 499 when the caller had gone. */
      readonly status: number;
      readonly durationMs: number;
      readonly tenant: string | null;
      readonly keyId: string | null;
      /** Policies of rate limits that refused it; absent when none did. */
      readonly limitedBy?: readonly string[];
      /** Policies in shadow that would have refused it. */
      readonly shadowLimitedBy?: readonly string[];
      /** Why limits were decided without their store. */
      readonly limitsDegraded?: RateLimitDegradation;
    }
  | {
      /** The store of rate limits is lost: each policy decides in its own way until it is back. */
      readonly type: "rate_limits_degraded";
      readonly reason: RateLimitDegradation;
      readonly cause: unknown;
    }
  | {
      /** The store of rate limits is back. */
      readonly type: "rate_limits_recovered";
      readonly durationMs: number;
      /** Requests that were decided without it. */
      readonly decisions: number;
    }
  | {
      /** The cache of answers failed at something; the caller got the answer all the same. */
      readonly type: "cache_failed";
      readonly operation: string;
      readonly cause: unknown;
    }
  | {
      /** A defect: the caller got 500 `internal_error`. */
      readonly type: "internal_error";
      readonly requestId: string;
      readonly cause: unknown;
    }
  | {
      /** An entry could not be written to the audit log. A send was refused for it, unless it had left before. */
      readonly type: "audit_failed";
      /** `-` when it concerns no request. */
      readonly requestId: string;
      readonly cause: unknown;
    }
  | {
      /** Keys could not be looked up or written. Where a request was waiting, the caller got 503; `-` where none was. */
      readonly type: "key_store_failed";
      readonly requestId: string;
      /** In one short text. */
      readonly reason: string;
      /** In full; once for each outage. */
      readonly cause?: unknown;
    }
  | {
      /** The stored record of a key is damaged, so that the key is not valid. Told once for each id. */
      readonly type: "key_record_damaged";
      readonly keyId: string;
    }
  | {
      /** A key was presented that requires features this version does not support. The caller received 401 `invalid_key`. */
      readonly type: "key_unsupported";
      readonly keyId: string;
      readonly features: readonly string[];
    }
  | {
      /** The upstream refused a caller's own key; the address is what repeated guesses are counted by. */
      readonly type: "pass_through_refused";
      readonly requestId: string;
      readonly status: 401 | 403;
      readonly keyId: string;
      readonly clientAddress: string | null;
    }
  | {
      /** The key set of tokens could not be read; what was read before stays in use for its time. */
      readonly type: "jwks_failed";
      readonly cause: unknown;
    }
  | {
      /** A file with a credential could not be read again; what was read before stays in use. */
      readonly type: "credential_file_failed";
      readonly tenant: string;
      readonly cause: unknown;
    }
  | {
      /** The upstream could not be used; the caller got a problem. */
      readonly type: "upstream_failed";
      readonly operation: Operation;
      readonly reason: string;
      readonly cause: unknown;
    };

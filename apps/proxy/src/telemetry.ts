/**
 * Events that the gateway reports: one for every request, and one for every failure that an operator should know of.
 * They carry ids only, never a key or a message, and a client address only for refused requests.
 */

/**
 * The outcome of the cache for a read. `hit`: a fresh stored response was used. `stale`: a stale one was used. `shared`: the request waited for the fetch
 * of another request. `miss`: this request called the upstream.
 */
export type CacheOutcome = "hit" | "stale" | "shared" | "miss";

/** Something that happened in the pipeline. */
export type ProxyEvent =
  | {
      /** A request got its response, or an upgrade was decided. */
      readonly type: "request";
      readonly requestId: string;
      readonly method: string;
      /** `null` when no endpoint matched. */
      readonly operation: string | null;
      /** HTTP status; 101 for an accepted upgrade, 499 when the caller had disconnected. */
      readonly status: number;
      /** Milliseconds, with microseconds as decimals. */
      readonly durationMs: number;
      readonly tenant: string | null;
      readonly keyId: string | null;
      /** The trace that the caller named in `traceparent`, or that the gateway began; absent without one. */
      readonly traceId?: string;
      /** The wait for the end of a turn that the caller requested, in seconds; absent without one. Such a request takes long on purpose. */
      readonly waitSeconds?: number;
      /** The outcome of the cache; absent for requests that it does not handle. */
      readonly cache?: CacheOutcome;
      /** `errorCode` of a problem response; absent for a success. */
      readonly errorCode?: string;
      /** For 401, 403, 404 and 429: the address by which the client is counted; `null` if it is unknown. */
      readonly clientAddress?: string | null;
      /** Why the credentials were refused, such as `token_expired`. The response does not say it. */
      readonly reason?: string;
      /** Rate-limit policies that refused the request; absent when none did. */
      readonly limitedBy?: readonly string[];
      /** Codes with which restrictions of the key in shadow mode would have refused it. */
      readonly shadowRefusedBy?: readonly string[];
      /** Policies in shadow mode that would have refused it. */
      readonly shadowLimitedBy?: readonly string[];
      /** Why limits were decided without their store. */
      readonly limitsDegraded?: "timeout" | "error" | "unavailable";
    }
  | {
      /** A device stays connected only because its key is in shadow mode: the allowlist of the key would have closed its socket. */
      readonly type: "socket_shadowed";
      readonly tenant: string;
      readonly keyId: string;
      readonly deviceId: string;
      readonly connectionName: string;
      /** The code with which a registration would be refused. */
      readonly errorCode: "device_not_allowed";
    }
  | {
      /** A viewer sent a command over its socket. */
      readonly type: "viewer_command";
      readonly requestId: string;
      readonly tenant: string;
      readonly keyId: string;
      /** The type of the frame. */
      readonly command: string;
      /** Why it was refused; absent for one that was sent. */
      readonly errorCode?: string;
    }
  | {
      /** A stream of events ended. Its `request` was reported when it began. */
      readonly type: "stream_ended";
      readonly requestId: string;
      readonly tenant: string;
      readonly keyId: string;
      /** `unread`: the client did not read what was sent to it. */
      readonly reason: "caller_gone" | "unread" | "credential_ended" | "shutdown" | "failed";
      /** Whole milliseconds. */
      readonly durationMs: number;
    }
  | {
      /** The rate-limit store is unavailable. Each policy applies its failure mode until it recovers. */
      readonly type: "rate_limits_degraded";
      readonly reason: "timeout" | "error" | "unavailable";
      readonly cause: unknown;
    }
  | {
      /** The rate-limit store has recovered. */
      readonly type: "rate_limits_recovered";
      readonly durationMs: number;
      /** Number of requests that were decided without it. */
      readonly decisions: number;
    }
  | {
      /** An operation of the response cache failed; the caller still got a response. An outage of Valkey is reported once. */
      readonly type: "cache_failed";
      readonly operation: string;
      readonly cause: unknown;
    }
  | {
      /** The response cache works again after an outage of Valkey. */
      readonly type: "cache_recovered";
      readonly durationMs: number;
    }
  | {
      /** A defect: the caller got 500 `internal_error`. */
      readonly type: "internal_error";
      readonly requestId: string;
      readonly cause: unknown;
    }
  | {
      /** An entry could not be written to the audit log. A send that had not left, or a change that was not made, was refused. */
      readonly type: "audit_failed";
      /** `-` when it concerns no request. */
      readonly requestId: string;
      readonly cause: unknown;
    }
  | {
      /** The store of sends failed or is full. A send that had not left yet was refused. */
      readonly type: "idempotency_failed";
      readonly operation: string;
      readonly cause: unknown;
    }
  | {
      /** The key store failed. A waiting request got 503. */
      readonly type: "key_store_failed";
      readonly requestId: string;
      /** A short text. */
      readonly reason: string;
      /** The full cause, once for each outage and at most once a minute. */
      readonly cause?: unknown;
    }
  | {
      /** The stored record of a key is damaged, so the key is invalid. Reported once per id. */
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
      /** The upstream refused a caller's own key. Repeated guesses are counted by address. */
      readonly type: "pass_through_refused";
      readonly requestId: string;
      readonly status: 401 | 403;
      readonly keyId: string;
      readonly clientAddress: string | null;
    }
  | {
      /** The JWKS could not be read. The cached one stays in use until it is too old. */
      readonly type: "jwks_failed";
      readonly cause: unknown;
    }
  | {
      /** A key of the JWKS is too weak or cannot be read, so tokens that it signed are refused. Reported when the JWKS changes. */
      readonly type: "jwks_key_refused";
      /** The id of the key; `null` if it has none. */
      readonly kid: string | null;
      readonly reason: string;
    }
  | {
      /** A changed credential file cannot be used. The previous credential stays in use. */
      readonly type: "credential_file_failed";
      readonly tenant: string;
      readonly cause: unknown;
    }
  | {
      /** A credential file can be used again after a failure. */
      readonly type: "credential_file_recovered";
      readonly tenant: string;
    }
  | ({
      /** The upstream keeps failing for a tenant. Until it recovers, it gets one request of the tenant per second; all others fail immediately. */
      readonly type: "upstream_down";
      readonly tenant: string;
    } & Partial<UpstreamFault>)
  | {
      /** The upstream works again for a tenant. */
      readonly type: "upstream_recovered";
      readonly tenant: string;
      readonly durationMs: number;
    }
  | {
      /** The upstream refused the gateway's credential. Reported once for each operation until it is accepted, a 403 also for a while after that. */
      readonly type: "upstream_credential_rejected";
      readonly tenant: string;
      readonly operation: string;
      readonly status: number;
    }
  | ({
      /** An attempt to call the upstream failed. A read may be repeated. */
      readonly type: "upstream_failed";
      readonly operation: string;
    } & UpstreamFault);

/** Why an attempt to call the upstream failed. */
export interface UpstreamFault {
  readonly reason: string;
  /** The status of a response. */
  readonly status?: number;
  /** The type of a response; `null` if it names none. */
  readonly contentType?: string | null;
  readonly cause: unknown;
}

/** The operations of routes outside the API, each with the path that stands for it in metrics. */
export const hostOperations = {
  checkLiveness: "/livez",
  checkReadiness: "/readyz",
  describeApi: "/openapi.json",
  readConsole: "/console/*",
  readDocs: "/docs/*",
} as const;

/** An operation of a route outside the API. */
export type HostOperation = keyof typeof hostOperations;

export type Telemetry = (event: ProxyEvent) => void;

/** Returns a sink that never throws. A log that fails must not replace a response: a delivered send would look like a failed one. */
export function shieldTelemetry(telemetry: Telemetry): Telemetry {
  return (event) => {
    try {
      telemetry(event);
    } catch {
      // There is nowhere left to report this failure.
    }
  };
}

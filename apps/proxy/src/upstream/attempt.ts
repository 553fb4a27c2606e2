/**
 * One attempt at a call to the remote server. It ends with a response, with a failure, or with its deadline. Each tenant has a circuit breaker, which
 * immediately refuses attempts while the server fails for that tenant. A tenant whose requests the server cannot handle does not affect the others.
 */
import {
  type Endpoint,
  type KnownEndpoint,
  type PlainResponse,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import { isGatewayFailure } from "../http/gateway-failure.ts";
import { callerGone } from "../http/gateway-request.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { type Admission, type CircuitBreaker, createCircuitBreaker } from "../lib/circuit-breaker.ts";
import { type Deadline, type DeadlineOutcome, runWithDeadline } from "../lib/deadline.ts";
import type { UpstreamFault } from "../telemetry.ts";
import type {
  GatewayPorts,
  UpstreamCredential,
  UpstreamFailure,
  UpstreamFetch,
  UpstreamProgress,
  UpstreamRequest,
} from "../ports.ts";
import { type ConcurrencyLimits, createConcurrencyLimit, priorityOf } from "./concurrency.ts";
import { isUnsafeToRepeat, unknownRemoteOutcome } from "./upstream.ts";
import { problemCodeOf } from "./validate-response.ts";

/** Number of consecutive calls without a useful response after which the server counts as down. */
export const failureThreshold = 5;

/** The interval at which one call is let through while the server is down, in milliseconds. */
export const probeIntervalMs = 1_000;

/** How long a reported 403 is not reported again, whatever succeeds meanwhile, in milliseconds. */
const forbiddenMs = 600_000;

/** The largest number of tenants whose breakers are remembered. */
const maxTenants = 10_000;

/**
 * The result of an attempt, or the response for the caller when there is none. `refused`: nothing was sent, because the server is down or too many
 * calls are running. `ended`: the time was up, or the caller has gone; `isSent` says whether the request was handed to a connection before.
 */
export type AttemptOutcome =
  | { readonly kind: "result"; readonly result: PlainResponse | UpstreamFailure }
  | Refused
  | { readonly kind: "ended"; readonly isSent: boolean; readonly response: PlainResponse };

export type Attempt = (
  endpoint: KnownEndpoint,
  request: UpstreamRequest,
  deadline: Deadline,
) => Promise<AttemptOutcome>;

export function createAttempt(
  { clock, telemetry }: Pick<GatewayPorts, "clock" | "telemetry">,
  fetchUpstream: UpstreamFetch,
  limits: ConcurrencyLimits,
): Attempt {
  const concurrency = createConcurrencyLimit(clock, limits);
  const healthByTenant = createBoundedMap<Health>(maxTenants);

  function record(
    { breaker }: Health,
    { principal: { tenant }, credential }: UpstreamRequest,
    admission: Admission,
    endpoint: Endpoint,
    outcome: CallOutcome,
  ) {
    const failure = failureOf(endpoint, credential, outcome);
    if (failure !== null) telemetry({ type: "upstream_failed", operation: endpoint.operation, ...failure });
    const signal = healthSignalOf(endpoint, outcome);
    if (signal === "unknown") breaker.recordAbandoned(admission);
    else if (signal === "failed") {
      if (breaker.recordFailure(admission)) telemetry({ type: "upstream_down", tenant, ...failure });
    } else {
      const durationMs = breaker.recordSuccess(admission);
      if (durationMs !== null) telemetry({ type: "upstream_recovered", tenant, durationMs });
    }
  }

  /**
   * Reports that the upstream refuses the gateway's credential for an operation, once until it accepts the credential. A 403 may concern one
   * resource, so for a while a success for another resource does not clear it.
   */
  function noteCredential({ refused }: Health, request: UpstreamRequest, operation: string, status: number): void {
    const { principal, credential } = request;
    const nowMs = clock.monotonic();
    const isCallers = credential?.onCallerRefused !== undefined;
    const isRefused = status === 407 || (!isCallers && (status === 401 || status === 403));
    const known = refused.get(operation);
    if (known && status >= 200 && status < 300) known.isAccepted = true;
    const hasEnded = !known || (known.isAccepted && nowMs >= known.untilMs);
    if (!isRefused || (!hasEnded && (status === 403 || known.untilMs === 0))) return;
    refused.set(operation, { untilMs: status === 403 ? nowMs + forbiddenMs : 0, isAccepted: false });
    telemetry({ type: "upstream_credential_rejected", tenant: principal.tenant, operation, status });
  }

  return async (endpoint, request, deadline) => {
    const { tenant } = request.principal;
    const health = healthByTenant.getOrCreate(tenant, () => createHealth(clock));
    // A probe may fail, and a send should not: it becomes the probe only if no read came within another `probeIntervalMs`.
    const admission = health.breaker.admit(endpoint.method === "GET" ? 0 : probeIntervalMs);
    if (admission === null) return refused(downResponse(health.breaker.retryAfterMs() ?? 0));
    const progress: UpstreamProgress = { isSent: false };
    let outcome: CallOutcome = { kind: "caller_gone" };
    let release = (): void => undefined;
    try {
      outcome = await runWithDeadline(clock, deadline, (signal) => {
        const call = (acquired: (() => void) | null): Promise<PlainResponse | UpstreamFailure | null> => {
          if (acquired === null) return notCalled;
          release = acquired;
          // An adapter that knows better resets it until it writes.
          progress.isSent = true;
          return fetchUpstream(request, signal, progress);
        };
        const acquired = concurrency.acquire(tenant, priorityOf(endpoint.operation), { ...deadline, signal });
        return acquired instanceof Promise ? acquired.then(call) : call(acquired);
      });
    } finally {
      // A call that ended early has closed its connection.
      release();
      record(health, request, admission, endpoint, outcome);
    }
    if (outcome.kind !== "finished") {
      return { kind: "ended", isSent: progress.isSent, response: endedResponse(endpoint, outcome.kind, progress) };
    }
    const { result } = outcome;
    if (result === null) return refused(overloaded);
    if (!("reason" in result)) noteCredential(health, request, endpoint.operation, result.status);
    return { kind: "result", result };
  };
}

const notCalled: Promise<null> = Promise.resolve(null);

/** A refusal is over when the operation was accepted since, and the time until which a success does not clear it has passed. */
interface ReportedRefusal {
  /** 0: a success clears it immediately. */
  readonly untilMs: number;
  isAccepted: boolean;
}

/** Health of the server for one tenant. */
interface Health {
  readonly breaker: CircuitBreaker;
  /** The reported refusals of the gateway's credential, by operation. */
  readonly refused: Map<string, ReportedRefusal>;
}

function createHealth(clock: GatewayPorts["clock"]): Health {
  return {
    breaker: createCircuitBreaker(clock, { cooldownMs: probeIntervalMs, failureThreshold }),
    refused: new Map(),
  };
}

/** The outcome of a call; `null`: it was not made, because too many others are running. */
type CallOutcome = DeadlineOutcome<PlainResponse | UpstreamFailure | null>;

/** When a send fails with a problem of this project, the cause is often its device. */
function failureOf(
  { method }: Endpoint,
  credential: UpstreamCredential | undefined,
  outcome: CallOutcome,
): UpstreamFault | null {
  if (outcome.kind === "timed_out") return { reason: "timeout", cause: null };
  if (outcome.kind !== "finished" || outcome.result === null) return null;
  const { result } = outcome;
  if ("reason" in result) return result.isStopped ? null : result;
  return result.status >= 500 && (method === "GET" || problemCodeOf(result) === null)
    ? faultOf("status", result, credential)
    : null;
}

/** Describes an unusable response: with a media type that is well-formed, and without its parameters, which may repeat the credential. */
export function faultOf(
  reason: string,
  { status, headers }: PlainResponse,
  credential: UpstreamCredential | undefined,
): UpstreamFault {
  const [, type] = /^([\w!#$&^.+-]+\/[\w!#$&^.+-]+)[ \t]*(?:;|$)/.exec(headers["content-type"] ?? "") ?? [];
  const isLogged = type !== undefined && type.length <= 64 && !(credential && type.includes(credential.value));
  return { reason, status, contentType: isLogged ? type : null, cause: null };
}

/** The response to a call that ended before its result. A send that was handed to a connection may have been delivered. */
function endedResponse(
  endpoint: KnownEndpoint,
  kind: "timed_out" | "caller_gone",
  { isSent }: UpstreamProgress,
): PlainResponse {
  const mayBeDelivered = isUnsafeToRepeat(endpoint) && isSent;
  if (kind === "timed_out") {
    return mayBeDelivered
      ? unknownRemoteOutcome(endpoint, "The upstream did not respond in time.")
      : problemResponse("upstream_timeout");
  }
  if (endpoint.method === "GET" || isSent) return callerGone;
  // The caller has gone, but it is recorded that nothing was sent.
  return problemResponse("upstream_unreachable", { status: callerGone.status });
}

/** The response while the server counts as down. Nothing was sent. */
function downResponse(retryAfterMs: number): PlainResponse {
  return problemResponse("upstream_unreachable", {
    detail: "The upstream has failed several times in a row. Nothing was sent.",
    retryAfterSeconds: Math.max(1, Math.ceil(retryAfterMs / 1_000)),
  });
}

const overloaded = problemResponse("overloaded");

/** Returns whether an attempt shows that the server works. An attempt that ended early or at a stop shows nothing, and a send may be slow because of its device. */
function healthSignalOf({ method }: Endpoint, outcome: CallOutcome): "works" | "failed" | "unknown" {
  if (outcome.kind !== "finished") return outcome.kind === "timed_out" && method === "GET" ? "failed" : "unknown";
  const { result } = outcome;
  if (result === null || ("reason" in result && result.isStopped)) return "unknown";
  // For any other reason, it has responded in a way that the gateway does not accept.
  if ("reason" in result) return result.reason === "unreachable" || result.reason === "broken" ? "failed" : "works";
  if (!isGatewayFailure(result.status)) return "works";
  // For a send, a status of Cloudflare says as little as a broken connection. Another one can be the server's own.
  return method === "GET" ? "failed" : result.status >= 520 ? "unknown" : "works";
}

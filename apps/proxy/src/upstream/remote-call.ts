/**
 * An HTTP call to a remote server: the request is built only from an allowlist, runs within its deadline, and ends in a validated response or in a
 * problem. Reads are repeated after a transient failure; a send is sent once.
 */
import { sleep } from "@letta-environments/platform";
import {
  buildPath,
  type KnownEndpoint,
  type PlainHeaders,
  type PlainResponse,
  type ProblemCode,
  problemResponse,
} from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { traceparentPattern } from "../http/traceparent.ts";
import { type Deadline, runWithDeadline } from "../lib/deadline.ts";
import type { GatewayPorts, UpstreamFailure, UpstreamFetch, UpstreamRequest } from "../ports.ts";
import { type AttemptOutcome, createAttempt, faultOf } from "./attempt.ts";
import type { ConcurrencyLimits } from "./concurrency.ts";
import { createRetryBudget, retryDelayMs } from "./retry.ts";
import { isUnsafeToRepeat, unknownRemoteOutcome, type UpstreamCall } from "./upstream.ts";
import { problemCodeOf, validateResponse } from "./validate-response.ts";

/** Calls the remote server for an endpoint. */
export type CallRemote = (
  endpoint: KnownEndpoint,
  request: UpstreamRequest,
  deadline: Deadline,
) => Promise<RemoteExchange>;

/** The end of a call to the remote server: a response, a failure, or `null` if it did not end in time. */
export type CallEnd = PlainResponse | UpstreamFailure | null;

/** The end of a call, and the response that follows from it. */
export interface RemoteExchange {
  readonly end: CallEnd;
  readonly response: PlainResponse;
}

/** Reads from the remote server on behalf of a request: with its credential and within its deadline. */
export type ReadRemote = (
  endpoint: KnownEndpoint,
  params: Readonly<Record<string, string>>,
  query: string,
) => Promise<PlainResponse>;

export function createCallRemote(
  ports: Pick<GatewayPorts, "clock" | "random" | "telemetry">,
  fetchUpstream: UpstreamFetch,
  limits: ConcurrencyLimits,
): CallRemote {
  const { clock, random, telemetry } = ports;
  const attempt = createAttempt(ports, fetchUpstream, limits);
  const budget = createRetryBudget();

  return async (endpoint, request, deadline) => {
    if (endpoint.method !== "GET") return end(endpoint, request, await attempt(endpoint, request, deadline));
    budget.deposit();
    let outcome = await attempt(endpoint, request, deadline);
    for (let retries = 0; outcome.kind === "result"; retries++) {
      const { result } = outcome;
      const remainingMs = deadline.atMs - clock.monotonic();
      const delayMs = retryDelayMs({ result, retries, remainingMs, nowMs: clock.now(), random: random() });
      if (delayMs === null || !budget.take() || !(await waitFor(delayMs, deadline))) break;
      const repeated = await attempt(endpoint, request, deadline);
      // The response to the earlier attempt says more.
      if (repeated.kind === "refused") break;
      outcome = repeated;
    }
    return end(endpoint, request, outcome);
  };

  /** Ends a call, and reports a response that is not itself a failure but that the gateway cannot use. */
  function end(endpoint: KnownEndpoint, request: UpstreamRequest, outcome: AttemptOutcome): RemoteExchange {
    const exchange = toExchange(endpoint, request, outcome);
    if (outcome.kind !== "result" || "reason" in outcome.result || outcome.result.status >= 500) return exchange;
    const reason = exchange.response.status === 502 && unusable.get(problemCodeOf(exchange.response));
    if (reason) {
      telemetry({
        type: "upstream_failed",
        operation: endpoint.operation,
        ...faultOf(reason, outcome.result, request.credential),
      });
    }
    return exchange;
  }

  /** Waits; false if the deadline ended the wait. */
  async function waitFor(delayMs: number, deadline: Deadline): Promise<boolean> {
    if (delayMs === 0) return !deadline.signal.aborted;
    return (await runWithDeadline(clock, deadline, (signal) => sleep(clock, delayMs, signal))).kind === "finished";
  }
}

function toExchange(endpoint: KnownEndpoint, { credential }: UpstreamRequest, outcome: AttemptOutcome): RemoteExchange {
  if (outcome.kind === "refused") return { end: unsent, response: outcome.response };
  if (outcome.kind === "ended") return { end: outcome.isSent ? null : unsent, response: outcome.response };
  const { result } = outcome;
  const response =
    "reason" in result ? failureResponse(endpoint, result) : validateResponse(endpoint, result, credential);
  return { end: result, response };
}

/** Codes of unusable responses, with the reason in the log. */
const unusable: ReadonlyMap<ProblemCode | null, string> = new Map([
  ["upstream_invalid_response", "invalid"],
  ["upstream_redirected", "redirected"],
]);

const unsent: UpstreamFailure = { reason: "unreachable", cause: null };

function failureResponse(endpoint: KnownEndpoint, failure: UpstreamFailure): PlainResponse {
  if (failure.isStopped) {
    return failure.reason !== "unreachable" && isUnsafeToRepeat(endpoint)
      ? unknownRemoteOutcome(endpoint, stopped)
      : problemResponse("upstream_unreachable", { detail: stopped });
  }
  switch (failure.reason) {
    case "unreachable":
      return problemResponse("upstream_unreachable");
    case "too_large":
      return problemResponse("upstream_response_too_large");
    case "unexpected_continue":
    case "undecodable": {
      // The upstream has responded, but it is not known with what.
      const detail = unusableDetails[failure.reason];
      return isUnsafeToRepeat(endpoint)
        ? unknownRemoteOutcome(endpoint, detail)
        : problemResponse("upstream_invalid_response", { detail });
    }
    case "broken":
      return isUnsafeToRepeat(endpoint)
        ? unknownRemoteOutcome(endpoint, "The connection to the upstream broke before it had responded.")
        : problemResponse("upstream_unreachable", { detail: "The connection to the upstream broke." });
  }
}

const stopped = "The gateway stopped before the upstream had responded.";

const unusableDetails = {
  undecodable: "The upstream sent a response in a content coding that this gateway cannot decode.",
  unexpected_continue:
    "The upstream sent 100 Continue without a request for it. The HTTP client of this gateway does not accept that.",
};

/** The caller's headers that are forwarded, with the values that are accepted. */
const forwardedHeaders: readonly (readonly [name: string, accepted: RegExp])[] = [
  ["traceparent", traceparentPattern],
  ["tracestate", /^[\t\x20-\x7e]{1,512}$/],
  ["idempotency-key", /^[\x20-\x7e]{1,256}$/],
];

/**
 * Builds the request of a call: an allowlist of headers, the upstream's credential instead of the caller's key (with pass-through, the caller's own
 * upstream key), and a path from ids that passed the allowlist.
 *
 * @param gateway the fields with which the gateway names itself
 * @throws RangeError when an id is not an identifier.
 */
export function buildRemoteRequest(
  call: Pick<UpstreamCall, "request" | "requestId" | "endpoint" | "query" | "body" | "principal" | "credential"> & {
    readonly decoded: Pick<UpstreamCall["decoded"], "params">;
  },
  gateway: Readonly<Record<"userAgent" | "via", string>>,
): UpstreamRequest {
  const { endpoint, decoded, query, body, principal, credential } = call;
  return {
    method: endpoint.method,
    path: buildPath(endpoint, decoded.params),
    query,
    headers: {
      accept: "application/json",
      "user-agent": gateway.userAgent,
      via: gateway.via,
      // The caller's, if it is safe to forward (`requestIdOf`).
      "x-request-id": call.requestId,
      ...(body !== null && { "content-type": "application/json" }),
      ...(credential !== undefined && { authorization: `Bearer ${credential.value}` }),
      ...acceptedHeaders(call.request, body !== null),
    },
    body,
    principal,
    ...(credential !== undefined && { credential }),
  };
}

function acceptedHeaders(request: GatewayRequest, hasBody: boolean): PlainHeaders {
  const headers: Record<string, string> = {};
  for (const [name, accepted] of forwardedHeaders) {
    // The response to a read may be shared with other callers, so only the trace, `Via` and the request id come from its caller.
    if (!hasBody && name === "idempotency-key") continue;
    // Without a valid `traceparent` it belongs to no trace (W3C Trace Context, section 3.3.1).
    if (name === "tracestate" && headers["traceparent"] === undefined) continue;
    const value = request.header(name);
    if (value !== null && accepted.test(value)) headers[name] = value;
  }
  return headers;
}

/** Builds the gateway's own read on behalf of a request: with its credential, without its body and its idempotency key. */
export function readRequest(
  request: UpstreamRequest,
  endpoint: KnownEndpoint,
  params: Readonly<Record<string, string>>,
  query: string,
): UpstreamRequest {
  const { "content-type": _contentType, "idempotency-key": _idempotencyKey, ...headers } = request.headers;
  return { ...request, method: endpoint.method, path: buildPath(endpoint, params), query, headers, body: null };
}

/**
 * Reports rate limits to callers and telemetry: the headers on every response, the 429 or 503 of a refused request, and the
 * fields of the log. The pipeline keeps the result in the request state until the response is complete.
 */
import {
  type PlainHeaders,
  type PlainResponse,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import { rateLimitHeaders, retryAfterSeconds, serialiseName } from "../rate-limit/headers.ts";
import type { RateLimitOutcome } from "../rate-limit/store.ts";
import type { ProxyEvent } from "../telemetry.ts";

/** The result of checking a request. */
export interface RateLimitResult {
  readonly outcome: RateLimitOutcome;
  /** The response to a refused request; `null` if it was admitted. */
  readonly refusal: PlainResponse | null;
  /** Releases the leases of the request, once. Call it when the response is complete. */
  release(): void;
}

/** Returns the result of an outcome that holds no lease. */
export function unleased(outcome: RateLimitOutcome): RateLimitResult {
  return { outcome, refusal: rateLimitResponse(outcome), release: () => undefined };
}

/** The part of a request state that records the result. */
export interface RateLimitRequestState {
  rateLimit: RateLimitResult | null;
  /** Why credentials were refused; for the log only. */
  refusalReason: string | null;
}

/** Records why authentication failed and how the failure was counted, and refuses the request. */
export function recordRefusal(
  state: RateLimitRequestState,
  {
    response,
    rateLimit,
    reason,
  }: { readonly response: PlainResponse; readonly rateLimit?: RateLimitResult; readonly reason?: string },
): Refused {
  state.rateLimit = rateLimit ?? null;
  state.refusalReason = reason ?? null;
  return refused(response);
}

/** Releases the leases of a request, and adds the rate-limit headers to its response. */
export function finishRateLimit({ rateLimit }: RateLimitRequestState, response: PlainResponse): PlainResponse {
  if (rateLimit === null) return response;
  rateLimit.release();
  return addRateLimitHeaders(response, rateLimit.outcome);
}

/**
 * Adds the rate-limit headers to a response. `RateLimit-Policy` and `RateLimit` are lists, so the upstream's items follow the
 * gateway's. The upstream's `Retry-After` is not replaced.
 */
export function addRateLimitHeaders(response: PlainResponse, outcome: RateLimitOutcome): PlainResponse {
  const own = rateLimitHeaders(outcome);
  const headers: Record<string, string> = { ...own, ...response.headers };
  for (const name of ["ratelimit-policy", "ratelimit"]) {
    const [first, second] = [own[name], response.headers[name]];
    if (first !== undefined && second !== undefined && first !== second) headers[name] = `${first}, ${second}`;
  }
  const degraded = degradedField(outcome);
  if (degraded !== null) headers["ratelimit-degraded"] = degraded;
  return { ...response, headers };
}

/** Returns the policies that were decided without the store, as a list of Strings with a parameter (RFC 9651). */
function degradedField({ degraded, decisions }: RateLimitOutcome): PlainHeaders[string] | null {
  if (degraded === null) return null;
  const items = decisions
    .filter((decision) => decision.degraded !== null && decision.policy.mode === "enforce")
    .map((decision) => `${serialiseName(decision.policy.name)};decided=${decision.degraded}`);
  return items.length === 0 ? null : items.join(", ");
}

/**
 * Returns the response to a refused request, or `null` if it was admitted. `rate_limited` (429): a limit is exceeded.
 * `limits_unavailable` (503): the store is unavailable, and only policies with failure mode `closed` refused. The member
 * `violated-policies` (draft-ietf-httpapi-ratelimit-headers-11 section 5) names the policies that refused.
 */
export function rateLimitResponse(outcome: RateLimitOutcome): PlainResponse | null {
  if (outcome.admitted) return null;
  const violated = outcome.decisions.filter(({ policy, allowed }) => policy.mode === "enforce" && !allowed);
  const code = violated.some(({ degraded }) => degraded !== "closed") ? "rate_limited" : "limits_unavailable";
  const retryable = retryAfterSeconds(outcome) !== null;
  return problemResponse(code, {
    retryable,
    headers: rateLimitHeaders(outcome),
    members: { "violated-policies": violated.map(({ policy }) => policy.name) },
    ...(!retryable && { detail: "The request costs more than a limit of the gateway ever allows at once." }),
  });
}

/** Returns the fields of the request log; empty if no policy would have refused and the store decided. */
export function describeRateLimit(
  outcome: RateLimitOutcome | undefined,
): Pick<Extract<ProxyEvent, { readonly type: "request" }>, "limitedBy" | "shadowLimitedBy" | "limitsDegraded"> {
  if (outcome === undefined || (outcome.degraded === null && outcome.decisions.every(({ allowed }) => allowed)))
    return {};
  const refusing = (mode: "enforce" | "shadow"): readonly string[] =>
    outcome.decisions
      .filter(({ policy, allowed }) => policy.mode === mode && !allowed)
      .map(({ policy }) => policy.name);
  const [enforced, shadow] = [refusing("enforce"), refusing("shadow")];
  return {
    ...(enforced.length > 0 && { limitedBy: enforced }),
    ...(shadow.length > 0 && { shadowLimitedBy: shadow }),
    ...(outcome.degraded !== null && { limitsDegraded: outcome.degraded }),
  };
}

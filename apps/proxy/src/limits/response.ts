import { type PlainHeaders, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { rateLimitHeaders, retryAfterSeconds } from "../rate-limit/headers.ts";
import type { RateLimitOutcome } from "../rate-limit/store.ts";

/**
 * An answer with what is left of the limits. An upstream's own fields stay, behind ours: they are lists, so that nothing of them is lost;
 * and a wait that it asks for is not shortened.
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

/** Policies that were decided without the store, and how: a list of Strings with a parameter (RFC 9651). */
function degradedField({ degraded, decisions }: RateLimitOutcome): PlainHeaders[string] | null {
  if (degraded === null) return null;
  const items = decisions
    .filter((decision) => decision.degraded !== null && decision.policy.mode === "enforce")
    .map((decision) => `"${decision.policy.name.replaceAll(/["\\]/g, "\\$&")}";decided=${decision.degraded}`);
  return items.length === 0 ? null : items.join(", ");
}

/** What a refusal says. */
export interface RateLimitRefusal {
  /**
   * `rate_limited` (429): the caller asked for too much. `limits_unavailable` (503): the limits cannot be counted at present, and
   * every policy that refused is one that is closed meanwhile.
   */
  readonly code: "rate_limited" | "limits_unavailable";
  /** Names of the policies that refused: the member `violated-policies` of draft-ietf-httpapi-ratelimit-headers-11 section 5. */
  readonly violatedPolicies: readonly string[];
  /** Seconds; `null` when repeating is of no use, because the request costs more than a whole burst. */
  readonly retryAfterSeconds: number | null;
}

/** Describes why a request was refused; `null` when it was not. */
export function describeRateLimitRefusal(outcome: RateLimitOutcome): RateLimitRefusal | null {
  if (outcome.admitted) return null;
  const violated = outcome.decisions.filter(({ policy, allowed }) => policy.mode === "enforce" && !allowed);
  return {
    code: violated.some(({ degraded }) => degraded !== "closed") ? "rate_limited" : "limits_unavailable",
    violatedPolicies: violated.map(({ policy }) => policy.name),
    retryAfterSeconds: retryAfterSeconds(outcome),
  };
}

/** The answer to a request that was refused, with the fields of {@link rateLimitHeaders}; `null` when it was not. */
export function rateLimitResponse(outcome: RateLimitOutcome): PlainResponse | null {
  const refusal = describeRateLimitRefusal(outcome);
  if (refusal === null) return null;
  const { code, violatedPolicies, retryAfterSeconds: seconds } = refusal;
  return problemResponse(code, {
    retryable: seconds !== null,
    headers: rateLimitHeaders(outcome),
    members: { "violated-policies": violatedPolicies },
    ...(seconds === null && { detail: "The request costs more than a limit of the gateway ever allows at once." }),
  });
}

/** What the limits say to a request. */
export interface RateLimitResult {
  readonly outcome: RateLimitOutcome;
  /** What the caller gets when it is refused. */
  readonly refusal: PlainResponse | null;
  /** Gives the leases back; for when the answer is complete. */
  release(): void;
}

/** The part of a request trace in which the limits record their decision. */
export interface RateLimitTrace {
  limited: RateLimitResult | null;
}

/** Records how the limits counted a failed authentication, and refuses the request. */
export function recordRefusal(
  trace: RateLimitTrace,
  { response, limited }: { readonly response: PlainResponse; readonly limited?: RateLimitResult },
): { readonly kind: "refused"; readonly response: PlainResponse } {
  trace.limited = limited ?? null;
  return { kind: "refused", response };
}

/** Ends what {@link limitRequest} began: the leases go back, and the answer tells what is left. */
export function finishRateLimit({ limited }: RateLimitTrace, response: PlainResponse): PlainResponse {
  if (limited === null) return response;
  limited.release();
  return addRateLimitHeaders(response, limited.outcome);
}

/** What telemetry is told of the limits; empty when they let the request pass. */
export function describeRateLimit(outcome: RateLimitOutcome | undefined): {
  readonly limitedBy?: readonly string[];
  readonly shadowLimitedBy?: readonly string[];
  readonly limitsDegraded?: NonNullable<RateLimitOutcome["degraded"]>;
} {
  if (outcome === undefined || (outcome.degraded === null && outcome.decisions.every(({ allowed }) => allowed)))
    return {};
  const refusing = (mode: "enforce" | "shadow"): readonly string[] =>
    outcome.decisions.filter(({ policy, allowed }) => policy.mode === mode && !allowed).map(({ policy }) => policy.name);
  const [enforced, shadow] = [refusing("enforce"), refusing("shadow")];
  return {
    ...(enforced.length > 0 && { limitedBy: enforced }),
    ...(shadow.length > 0 && { shadowLimitedBy: shadow }),
    ...(outcome.degraded !== null && { limitsDegraded: outcome.degraded }),
  };
}

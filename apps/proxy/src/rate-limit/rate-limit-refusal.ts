import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { rateLimitHeaders, retryAfterSeconds } from "./rate-limit-headers.ts";
import type { RateLimitOutcome } from "./rate-limit-store.ts";

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
  const violated = outcome.verdicts.filter(({ policy, allowed }) => policy.mode === "enforce" && !allowed);
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

import type { RateLimitVerdict } from "./rate-limit-store.ts";

/**
 * The verdict that tells a caller most: among the enforced policies that which refuses for the longest time, or when none refuses
 * that with the smallest share left. `null` when no policy is enforced.
 */
export function mostConstrained(verdicts: readonly RateLimitVerdict[]): RateLimitVerdict | null {
  let found: RateLimitVerdict | null = null;
  for (const verdict of verdicts) {
    if (verdict.policy.mode === "enforce" && (found === null || isTighter(verdict, found))) found = verdict;
  }
  return found;
}

function isTighter(verdict: RateLimitVerdict, other: RateLimitVerdict): boolean {
  if (verdict.allowed !== other.allowed) return other.allowed;
  return verdict.allowed ? shareLeft(verdict) < shareLeft(other) : waitOf(verdict) > waitOf(other);
}

function shareLeft({ policy, remaining }: RateLimitVerdict): number {
  if (remaining === null) return Infinity;
  return remaining / (policy.unit === "requests" ? policy.burst : policy.limit);
}

function waitOf({ retryAfterMs }: RateLimitVerdict): number {
  return retryAfterMs ?? Infinity;
}

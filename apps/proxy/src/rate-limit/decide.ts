import { arrivalBaseUs, intervalUsOf, isWithinBurst } from "./gcra.ts";
import type { RateLimitCheck } from "./policy.ts";
import type { RateLimitOutcome, RateLimitDecision } from "./store.ts";

/** When to ask again for a concurrent request: nobody knows when one ends. */
export const concurrencyRetryMs = 1_000;

/**
 * Decides all checks of a request from what a store knows, in whole microseconds.
 *
 * `states` holds for each check the arrival time (0 when the key is unknown), or for concurrent requests the number of live leases
 * that are not this request's. It is overwritten with what to keep: the new arrival time (the old one where nothing changes), or
 * for concurrent requests 1 where the lease is granted and 0 where it is not.
 */
export function decideRateLimits(
  checks: readonly RateLimitCheck[],
  states: Float64Array,
  nowUs: number,
  probe: boolean,
): RateLimitOutcome {
  let admitted = true;
  for (let index = 0; index < checks.length && admitted; index++) {
    const check = checks[index];
    if (check === undefined || check.policy.mode === "shadow") continue;
    admitted = isAllowed(check, states[index] ?? 0, nowUs);
  }
  const charges = admitted && !probe;
  const decisions: RateLimitDecision[] = [];
  for (let index = 0; index < checks.length; index++) {
    const check = checks[index];
    if (check === undefined) continue;
    decisions.push(
      check.policy.unit === "requests"
        ? settleRequests(check, states, index, nowUs, charges)
        : settleLease(check, states, index, charges),
    );
  }
  return { admitted, decisions, constrained: mostConstrained(decisions), degraded: null };
}

function isAllowed({ policy, cost }: RateLimitCheck, state: number, nowUs: number): boolean {
  if (policy.unit === "concurrent-requests") return state < policy.limit;
  const intervalUs = intervalUsOf(policy);
  const burstUs = intervalUs * policy.burst;
  return isWithinBurst(arrivalBaseUs(state, nowUs, burstUs) + cost * intervalUs, nowUs, burstUs);
}

function settleRequests(
  { policy, cost }: RateLimitCheck,
  states: Float64Array,
  index: number,
  nowUs: number,
  charges: boolean,
): RateLimitDecision {
  const arrivalUs = states[index] ?? 0;
  const intervalUs = intervalUsOf(policy);
  const burstUs = intervalUs * policy.burst;
  const baseUs = arrivalBaseUs(arrivalUs, nowUs, burstUs);
  const nextUs = baseUs + cost * intervalUs;
  const possible = cost <= policy.burst;
  const allowed = possible && isWithinBurst(nextUs, nowUs, burstUs);
  const isCharged = charges && allowed && cost > 0;
  const debtUs = (isCharged ? nextUs : baseUs) - nowUs;
  states[index] = isCharged ? nextUs : Math.min(arrivalUs, nowUs + burstUs);
  return {
    policy,
    allowed,
    remaining: Math.floor((burstUs - debtUs) / intervalUs),
    resetMs: Math.ceil(debtUs / 1_000),
    retryAfterMs: allowed ? 0 : possible ? Math.ceil((nextUs - nowUs - burstUs) / 1_000) : null,
    degraded: null,
  };
}

function settleLease(
  { policy }: RateLimitCheck,
  states: Float64Array,
  index: number,
  charges: boolean,
): RateLimitDecision {
  const others = states[index] ?? 0;
  const allowed = others < policy.limit;
  const isGranted = charges && allowed;
  states[index] = isGranted ? 1 : 0;
  return {
    policy,
    allowed,
    remaining: Math.max(0, policy.limit - others - (isGranted ? 1 : 0)),
    resetMs: 0,
    retryAfterMs: allowed ? 0 : concurrencyRetryMs,
    degraded: null,
  };
}

/**
 * The decision that tells a caller most: among the enforced policies that which refuses for the longest time, or when none refuses
 * that with the smallest share left. `null` when no policy is enforced.
 */
export function mostConstrained(decisions: readonly RateLimitDecision[]): RateLimitDecision | null {
  let found: RateLimitDecision | null = null;
  for (const decision of decisions) {
    if (decision.policy.mode === "enforce" && (found === null || isTighter(decision, found))) found = decision;
  }
  return found;
}

function isTighter(decision: RateLimitDecision, other: RateLimitDecision): boolean {
  if (decision.allowed !== other.allowed) return other.allowed;
  return decision.allowed ? shareLeft(decision) < shareLeft(other) : waitOf(decision) > waitOf(other);
}

function shareLeft({ policy, remaining }: RateLimitDecision): number {
  if (remaining === null) return Infinity;
  return remaining / (policy.unit === "requests" ? policy.burst : policy.limit);
}

function waitOf({ retryAfterMs }: RateLimitDecision): number {
  return retryAfterMs ?? Infinity;
}

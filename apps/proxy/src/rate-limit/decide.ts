import { arrivalBaseUs, intervalUsOf, isWithinBurst } from "./gcra.ts";
import type { RateLimitDemand } from "./policy.ts";
import type { RateLimitOutcome, RateLimitVerdict } from "./store.ts";

/** When to ask again for a concurrent request: nobody knows when one ends. */
export const concurrencyRetryMs = 1_000;

/**
 * Decides all demands of a request from what a store knows, in whole microseconds.
 *
 * `states` holds for each demand the arrival time (0 when the key is unknown), or for concurrent requests the number of live leases
 * that are not this request's. It is overwritten with what to keep: the new arrival time (the old one where nothing changes), or
 * for concurrent requests 1 where the lease is granted and 0 where it is not.
 */
export function decideRateLimits(
  demands: readonly RateLimitDemand[],
  states: Float64Array,
  nowUs: number,
  probe: boolean,
): RateLimitOutcome {
  let admitted = true;
  for (let index = 0; index < demands.length && admitted; index++) {
    const demand = demands[index];
    if (demand === undefined || demand.policy.mode === "shadow") continue;
    admitted = isAllowed(demand, states[index] ?? 0, nowUs);
  }
  const charges = admitted && !probe;
  const verdicts: RateLimitVerdict[] = [];
  for (let index = 0; index < demands.length; index++) {
    const demand = demands[index];
    if (demand === undefined) continue;
    verdicts.push(
      demand.policy.unit === "requests"
        ? settleRequests(demand, states, index, nowUs, charges)
        : settleLease(demand, states, index, charges),
    );
  }
  return { admitted, verdicts, constrained: mostConstrained(verdicts), degraded: null };
}

function isAllowed({ policy, cost }: RateLimitDemand, state: number, nowUs: number): boolean {
  if (policy.unit === "concurrent-requests") return state < policy.limit;
  const intervalUs = intervalUsOf(policy);
  const burstUs = intervalUs * policy.burst;
  return isWithinBurst(arrivalBaseUs(state, nowUs, burstUs) + cost * intervalUs, nowUs, burstUs);
}

function settleRequests(
  { policy, cost }: RateLimitDemand,
  states: Float64Array,
  index: number,
  nowUs: number,
  charges: boolean,
): RateLimitVerdict {
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
  { policy }: RateLimitDemand,
  states: Float64Array,
  index: number,
  charges: boolean,
): RateLimitVerdict {
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

/**
 * Decides the checks of a request. Every store calls {@link decideRateLimits}, so the arithmetic exists once (and once more in
 * Lua in `adapters/valkey/rate-limit-store.ts`, which must agree with it). The functions are pure: stores read the state, call them, and write the state back.
 *
 * Requests are counted with the generic cell rate algorithm (GCRA, ITU-T I.371) in whole microseconds. The only state of a counter
 * is its theoretical arrival time (TAT): the time at which its whole burst is regained. For an unknown or idle counter it is
 * in the past. A request moves the TAT ahead by cost * interval, and is allowed if the TAT is then at most one whole burst ahead
 * of now. So in any span of time t, at most burst + t * limit / window units pass, wherever the span begins.
 *
 * Concurrent requests are counted as leases: a request is allowed if fewer than `limit` other leases are live.
 */
import type { RateLimitCheck, RateLimitPolicy } from "./policy.ts";
import type { RateLimitDecision, RateLimitOutcome } from "./store.ts";

/** When to retry a refused concurrent request, in milliseconds. The end of the running requests is unknown. */
export const concurrencyRetryMs = 1_000;

/**
 * Decides all checks of a request from the state of a store, in whole microseconds.
 *
 * `states` holds for each check the TAT (0 for an unknown key), or for concurrent requests the number of live leases of other
 * requests. It is overwritten with the state to store: the new TAT (the old one if nothing changes), or for concurrent requests
 * 1 if the lease is granted and 0 if it is not. A probe, which charges nothing, stores the state too: it
 * cuts a TAT that is more than one burst ahead, so that the wait that it reports really ends.
 */
export function decideRateLimits(
  checks: readonly RateLimitCheck[],
  states: Float64Array,
  nowUs: number,
  probe: boolean,
): RateLimitOutcome {
  const admitted = checks.every(
    (check, index) => check.policy.mode === "shadow" || isAllowed(check, states[index] ?? 0, nowUs),
  );
  const charges = admitted && !probe;
  const decisions = checks.map((check, index) =>
    check.policy.unit === "requests"
      ? settleRequests(check, states, index, nowUs, charges)
      : settleLease(check, states, index, charges),
  );
  return { admitted, decisions, constrained: mostConstrained(decisions), degraded: null };
}

/** Returns the microseconds in which one unit is regained. Rounded up, so that rounding never admits more than the policy says. */
export function intervalUsOf(policy: Pick<RateLimitPolicy, "limit" | "windowMs">): number {
  return Math.ceil((policy.windowMs * 1_000) / policy.limit);
}

/**
 * Returns the time from which a request is charged. A TAT more than one whole burst ahead comes from a clock that was set back
 * since, or from a larger burst that the policy had. It counts as an empty bucket, which admits nothing extra and is full again after the time of one burst.
 */
function chargedFromUs(arrivalUs: number, nowUs: number, burstUs: number): number {
  return Math.min(Math.max(arrivalUs, nowUs), nowUs + burstUs);
}

function isAllowed({ policy, cost }: RateLimitCheck, state: number, nowUs: number): boolean {
  if (policy.unit === "concurrent-requests") return state < policy.limit;
  const intervalUs = intervalUsOf(policy);
  const burstUs = intervalUs * policy.burst;
  return chargedFromUs(state, nowUs, burstUs) + cost * intervalUs <= nowUs + burstUs;
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
  const fromUs = chargedFromUs(arrivalUs, nowUs, burstUs);
  const nextUs = fromUs + cost * intervalUs;
  const allowed = nextUs <= nowUs + burstUs;
  const isCharged = charges && allowed && cost > 0;
  const debtUs = (isCharged ? nextUs : fromUs) - nowUs;
  states[index] = isCharged ? nextUs : Math.min(arrivalUs, nowUs + burstUs);
  return {
    policy,
    allowed,
    remaining: Math.floor((burstUs - debtUs) / intervalUs),
    resetMs: Math.ceil(debtUs / 1_000),
    retryAfterMs: allowed ? 0 : cost <= policy.burst ? Math.ceil((nextUs - nowUs - burstUs) / 1_000) : null,
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
 * Returns the enforced decision that limits the caller most: the refusal with the longest wait or, if none refuses, the decision
 * with the smallest share left. `null` if no policy is enforced.
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

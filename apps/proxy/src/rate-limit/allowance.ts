/**
 * Allowances: units that a process takes in advance from a distant store, so that most of its requests need no call.
 *
 * The store charges an allowance when it grants it, as if all of its units were spent at its end, `allowanceMs` from now. So the
 * policy holds strictly, in any span of time: a unit is charged no earlier than it is spent, and GCRA admits no more charges than the
 * policy says. (Let the first charge of a span be made at time `a` or later. With `c` units charged from then on, the TAT is at least
 * `a + c * interval`. The last of them was allowed at a time `b` of the span, so the TAT is at most `b + burst * interval`.) Units that
 * are not spent in time are lost.
 *
 * To keep losses small, an allowance never exceeds what the process spent in a second, a tenth of the burst, or what the policy regains
 * in a second; it leaves half of the burst to others; and policies for which that is less than {@link minUnits} have none. A request is
 * decided locally only if every one of its policies has an allowance.
 */
import { intervalUsOf, mostConstrained } from "./decide.ts";
import type { RateLimitCheck, RateLimitPolicy } from "./policy.ts";
import type { RateLimitDecision, RateLimitOutcome } from "./store.ts";

/** The time in which an allowance is charged, in milliseconds. */
const allowanceMs = 1_000;
/** The time in which it may be spent, counted from before the call to the store. Shorter, because a Worker's clock stands still while it computes. */
const spendingMs = 900;
/** The smallest allowance that is worth its losses, in units. */
const minUnits = 5;
/** The period over which a process counts what it has spent, in milliseconds. */
const periodMs = 1_000;

/** Returns the most units of one allowance; 0 if the policy has none. */
function maxAllowance(policy: RateLimitPolicy): number {
  if (policy.unit !== "requests") return 0;
  const units = Math.floor(Math.min(policy.burst / 10, (allowanceMs * 1_000) / intervalUsOf(policy)));
  return units < minUnits ? 0 : units;
}

/**
 * Grants allowances for the checks of a request that was just charged: as much of `requested` as each policy can give, or none at all.
 * `states` holds the TAT of each check, and is overwritten with the new one.
 */
export function grantAllowances(
  checks: readonly RateLimitCheck[],
  states: Float64Array,
  nowUs: number,
  requested: readonly number[],
): readonly number[] {
  const endUs = nowUs + allowanceMs * 1_000;
  const granted = checks.map(({ policy }, index) => {
    const intervalUs = intervalUsOf(policy);
    const freeUs = nowUs + (intervalUs * policy.burst) / 2 - Math.max(states[index] ?? 0, endUs);
    return Math.min(requested[index] ?? 0, maxAllowance(policy), Math.floor(freeUs / intervalUs));
  });
  if (granted.some((units) => units < 1)) return [];
  for (const [index, { policy }] of checks.entries()) {
    states[index] = Math.max(states[index] ?? 0, endUs) + (granted[index] ?? 0) * intervalUsOf(policy);
  }
  return granted;
}

/** The allowance of one policy and partition key in one process. Times are monotonic milliseconds. */
export interface Allowance {
  /** Units that are left, and units that were granted. */
  left: number;
  granted: number;
  /** When the store was called, and the remaining units that it reported then. */
  sinceMs: number;
  remaining: number;
  resetMs: number;
  /** When the open request to the store was made; `-Infinity` without one. */
  requestedAtMs: number;
  /** Units spent in this period and in the one before. */
  periodStartMs: number;
  spent: number;
  spentBefore: number;
}

/** Creates an {@link Allowance} without units. */
export function createAllowance(): Allowance {
  const unknown = { left: 0, granted: 0, sinceMs: 0, remaining: 0, resetMs: 0 };
  return { ...unknown, requestedAtMs: -Infinity, periodStartMs: -Infinity, spent: 0, spentBefore: 0 };
}

/** Whether all policies of a request can have allowances. */
export function canHaveAllowances(checks: readonly RateLimitCheck[]): boolean {
  return checks.every(({ policy }) => maxAllowance(policy) > 0);
}

/** Spends a request from its allowances, one for each check. Returns `null`, and spends nothing, if one of them is too small. */
export function spendAllowances(
  checks: readonly RateLimitCheck[],
  allowances: readonly Allowance[],
  nowMs: number,
): RateLimitOutcome | null {
  const isEnough = ({ left, sinceMs }: Allowance, index: number): boolean =>
    nowMs - sinceMs < spendingMs && left >= (checks[index]?.cost ?? 0);
  if (!allowances.every(isEnough)) return null;
  const decisions = checks.map(({ policy, cost }, index) => spend(policy, cost, allowances[index], nowMs));
  return { admitted: true, decisions, constrained: mostConstrained(decisions), degraded: null };
}

function spend(
  policy: RateLimitPolicy,
  cost: number,
  allowance: Allowance = createAllowance(),
  nowMs: number,
): RateLimitDecision {
  allowance.left -= cost;
  // As if only this process had spent since then, and nothing had been regained.
  const spent = allowance.granted - allowance.left;
  const debtMs = allowance.resetMs + (spent * intervalUsOf(policy)) / 1_000 - (nowMs - allowance.sinceMs);
  return {
    policy,
    allowed: true,
    remaining: allowance.remaining - spent,
    resetMs: Math.max(0, Math.ceil(debtMs)),
    retryAfterMs: 0,
    degraded: null,
  };
}

/** Counts the units of a request. Returns the allowance to request with it for each check; empty if none, or while a request for one is open. */
export function countAndRequest(
  checks: readonly RateLimitCheck[],
  allowances: readonly Allowance[],
  nowMs: number,
): readonly number[] {
  const requested = allowances.map((allowance, index) => countSpent(allowance, checks[index]?.cost ?? 0, nowMs));
  const isRequested = allowances.some(({ requestedAtMs }) => nowMs - requestedAtMs < allowanceMs);
  return isRequested || requested.some((units) => units < 1) ? [] : requested;
}

/** Counts units. Returns the units that were spent in about a second before them. */
function countSpent(allowance: Allowance, cost: number, nowMs: number): number {
  const elapsedMs = nowMs - allowance.periodStartMs;
  if (elapsedMs >= periodMs) {
    allowance.spentBefore = elapsedMs < 2 * periodMs ? allowance.spent : 0;
    allowance.spent = 0;
    allowance.periodStartMs = nowMs;
  }
  const before = Math.max(allowance.spent, allowance.spentBefore);
  allowance.spent += cost;
  return before;
}

/** Notes that allowances are requested from the store. */
export function noteRequested(allowances: readonly Allowance[], nowMs: number): void {
  for (const allowance of allowances) allowance.requestedAtMs = nowMs;
}

/** Notes the response to a request of `requestedAtMs`; `granted` is empty if the store granted nothing or failed. */
export function noteGranted(
  allowances: readonly Allowance[],
  granted: readonly number[],
  decisions: readonly RateLimitDecision[],
  requestedAtMs: number,
): void {
  for (const [index, allowance] of allowances.entries()) {
    allowance.requestedAtMs = -Infinity;
    const [units, decision] = [granted[index], decisions[index]];
    if (units === undefined || decision === undefined) continue;
    const { remaining, resetMs } = decision;
    Object.assign(allowance, {
      left: units,
      granted: units,
      sinceMs: requestedAtMs,
      remaining: remaining ?? 0,
      resetMs,
    });
  }
}

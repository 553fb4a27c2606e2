/**
 * The generic cell rate algorithm (ITU-T I.371) in whole microseconds. All that is kept of a key is its theoretical arrival time: when
 * its whole burst will be there again. Of a key that was never seen, or that is at rest, it lies in the past. A request moves it
 * ahead by its cost, and is allowed when it then lies no further ahead than the whole burst.
 *
 * From this follows that in any span of time t at most burst + t * limit / window units pass, wherever the span begins.
 */
import type { RateLimitPolicy } from "./policy.ts";

/** Microseconds in which one unit comes back: rounded up, so that rounding never admits more than the policy says. */
export function intervalUsOf(policy: Pick<RateLimitPolicy, "limit" | "windowMs">): number {
  return Math.ceil((policy.windowMs * 1_000) / policy.limit);
}

/**
 * From where a request is charged. A time that lies further ahead than the whole burst can only come from a clock that was set back
 * since; it is taken for an empty bucket, which admits nothing extra and is full again after the time of a burst.
 */
export function arrivalBaseUs(arrivalUs: number, nowUs: number, burstUs: number): number {
  return Math.min(Math.max(arrivalUs, nowUs), nowUs + burstUs);
}

/** Whether a request may leave this arrival time behind. */
export function isWithinBurst(nextUs: number, nowUs: number, burstUs: number): boolean {
  return nextUs <= nowUs + burstUs;
}

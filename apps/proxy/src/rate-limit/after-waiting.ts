import { mostConstrained } from "./most-constrained.ts";
import type { RateLimitOutcome, RateLimitVerdict } from "./rate-limit-store.ts";

/** What a refusal says when part of its wait is over, in milliseconds, and nothing was asked anew. */
export function afterWaiting(outcome: RateLimitOutcome, waitedMs: number): RateLimitOutcome {
  const verdicts = outcome.verdicts.map((verdict): RateLimitVerdict => {
    const { allowed, resetMs, retryAfterMs } = verdict;
    const leftMs = allowed || retryAfterMs === null ? retryAfterMs : Math.max(1, retryAfterMs - waitedMs);
    return { ...verdict, resetMs: Math.max(0, resetMs - waitedMs), retryAfterMs: leftMs };
  });
  return { ...outcome, verdicts, constrained: mostConstrained(verdicts) };
}

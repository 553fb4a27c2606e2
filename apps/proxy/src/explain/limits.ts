/** The rate limits of an explanation: the state of those that it knows, and the rule that it leaves open for the others. */
import type { RateLimitDecision } from "../rate-limit/store.ts";
import type { RoutedRateLimit } from "../limits/settings.ts";
import type { StepName } from "../step-names.ts";
import type { ExplainedLimit, ExplainedRule } from "./explanation.ts";

/** Rules and limits, without what is not known. */
export interface LimitsExplanation {
  readonly rules: readonly ExplainedRule[];
  readonly limits: readonly ExplainedLimit[];
  /** Whether a limit that is not known may refuse the request. */
  readonly isOpen: boolean;
  /** Whether only such limits have refused it. Callers without a valid address share a counter, which says nothing about the others. */
  readonly isRefusalOpen: boolean;
}

const limitStep = "apply the rate limits" satisfies StepName;

/**
 * Returns a function that explains the decisions of the limits. Only a running gateway knows how much of a limit is left, and nobody the address of
 * the caller. A refusal is certain all the same: a request that costs more than the whole burst is always refused.
 */
export function createExplainLimits(
  settings: readonly Pick<RoutedRateLimit, "rule">[],
  isRunning: boolean,
): (rules: readonly ExplainedRule[], decisions: readonly RateLimitDecision[]) => LimitsExplanation {
  const byAddress = settings.filter(({ rule }) => rule.dimensions.includes("address"));
  const namesByAddress = new Set(byAddress.map(({ rule }) => rule.policy.name));
  const isKnown = ({ retryAfterMs, policy }: RateLimitDecision): boolean =>
    retryAfterMs === null || (isRunning && !namesByAddress.has(policy.name));

  return (rules, decisions) => {
    const limits = decisions.filter(isKnown).map(describeLimit);
    const enforced = decisions.filter(({ policy }) => policy.mode === "enforce");
    const open = enforced.filter((decision) => !isKnown(decision));
    if (open.length === 0) return { rules, limits, isOpen: false, isRefusalOpen: false };
    const refusing = enforced.filter(({ allowed }) => !allowed);
    const isRefusalOpen = refusing.length > 0 && !refusing.some(isKnown);
    const names = open.map(({ policy }) => policy.name).join(", ");
    const detail = isRunning
      ? `limits by address are not known: ${names}`
      : `what remains of ${names} is not known; ask the running gateway with --url`;
    const left = rules.map((rule): ExplainedRule => {
      const isLeft = rule.rule === limitStep && (isRefusalOpen || rule.result === "passed");
      return isLeft ? { ...rule, result: "unknown", detail, errorCode: null } : rule;
    });
    return { rules: left, limits, isOpen: true, isRefusalOpen };
  };
}

function describeLimit({ policy, allowed, remaining, retryAfterMs }: RateLimitDecision): ExplainedLimit {
  return {
    policy: policy.name,
    mode: policy.mode,
    allowed,
    remaining,
    retryAfterMs: allowed ? null : retryAfterMs,
  };
}

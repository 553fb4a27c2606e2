/**
 * Response headers for an outcome: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11, lists of RFC 9651)
 * and `Retry-After`. Requests of one route usually have the same policies, so `RateLimit-Policy` is built once and remembered.
 */
import type { RateLimitPolicy } from "./policy.ts";
import type { RateLimitDecision, RateLimitOutcome } from "./store.ts";

/**
 * Returns `RateLimit-Policy`, `RateLimit` and, for a refusal that ends, `Retry-After`. Shadow policies are left out, because they
 * limit nothing. A policy that was decided as `open` or `closed` has no `RateLimit` item, because what remains is unknown.
 *
 * `r` is the number of units left. `t` is the time in seconds, rounded up, after which a refused request would be allowed, or for
 * an allowed request after which all units are regained.
 */
export function rateLimitHeaders(outcome: RateLimitOutcome): Readonly<Record<string, string>> {
  const { decisions } = outcome;
  const { text, names } = policyFieldOf(decisions);
  let limits = "";
  for (let index = 0; index < decisions.length; index++) {
    const decision = decisions[index];
    if (decision === undefined || decision.policy.mode === "shadow" || decision.remaining === null) continue;
    const item = `${names[index]};r=${decision.remaining}${timeParameter(decision)}`;
    limits = limits === "" ? item : `${limits}, ${item}`;
  }
  if (outcome.admitted && limits !== "") return { "ratelimit-policy": text, ratelimit: limits };
  const retryAfter = retryAfterSeconds(outcome);
  return {
    ...(text !== "" && { "ratelimit-policy": text }),
    ...(limits !== "" && { ratelimit: limits }),
    ...(retryAfter !== null && { "retry-after": String(retryAfter) }),
  };
}

/** Returns after how many whole seconds, at least 1, to retry a refused request; `null` if it was admitted or will never be. */
export function retryAfterSeconds({ admitted, constrained }: RateLimitOutcome): number | null {
  if (admitted || constrained === null || constrained.retryAfterMs === null) return null;
  return Math.max(1, Math.ceil(constrained.retryAfterMs / 1_000));
}

/** Serialises a policy name as a String (RFC 9651 section 3.3.3). */
export function serialiseName(name: string): string {
  return `"${name.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** The `RateLimit-Policy` field of a list of policies. */
interface PolicyField {
  readonly policies: readonly RateLimitPolicy[];
  /** The field value; empty if all policies are in shadow mode. */
  readonly text: string;
  /** The serialised name of each policy. */
  readonly names: readonly string[];
}

/** The latest field by a request's first policy. Policies live as long as the configuration, and so do these fields. */
const policyFields = new WeakMap<RateLimitPolicy, PolicyField>();

function policyFieldOf(decisions: readonly RateLimitDecision[]): PolicyField {
  const first = decisions[0]?.policy;
  const known = first === undefined ? undefined : policyFields.get(first);
  if (known !== undefined && hasSamePolicies(known, decisions)) return known;
  const policies = decisions.map(({ policy }) => policy);
  const names = policies.map(({ name }) => serialiseName(name));
  const items = policies.map((policy, index) =>
    policy.mode === "shadow" ? "" : `${names[index]}${policyParameters(policy)}`,
  );
  const field = { policies, names, text: items.filter((item) => item !== "").join(", ") };
  if (first !== undefined) policyFields.set(first, field);
  return field;
}

function hasSamePolicies({ policies }: PolicyField, decisions: readonly RateLimitDecision[]): boolean {
  return policies.length === decisions.length && policies.every((policy, index) => policy === decisions[index]?.policy);
}

function policyParameters(policy: RateLimitPolicy): string {
  if (policy.unit === "concurrent-requests") return `;q=${policy.limit};qu="concurrent-requests"`;
  // `w` is in whole seconds, so other windows are left out.
  const hasWholeSeconds = policy.windowMs % 1_000 === 0;
  return hasWholeSeconds ? `;q=${policy.limit};w=${policy.windowMs / 1_000}` : `;q=${policy.limit}`;
}

function timeParameter({ policy, allowed, resetMs, retryAfterMs }: RateLimitDecision): string {
  if (!allowed && retryAfterMs !== null) return `;t=${Math.max(1, Math.ceil(retryAfterMs / 1_000))}`;
  return policy.unit === "requests" ? `;t=${Math.ceil(resetMs / 1_000)}` : "";
}

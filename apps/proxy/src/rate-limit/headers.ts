import type { PlainHeaders } from "@letta-environments/schema";
import type { RateLimitPolicy } from "./policy.ts";
import type { RateLimitOutcome, RateLimitDecision } from "./store.ts";

/** What is told of the same policies in every answer. */
interface PolicyField {
  readonly policies: readonly RateLimitPolicy[];
  /** The field; empty when all policies are in shadow. */
  readonly text: string;
  /** Each policy's name as a String. */
  readonly names: readonly string[];
}

/** By a request's first policy. Policies live as long as the configuration, so this does too. */
const policyFields = new WeakMap<RateLimitPolicy, PolicyField>();

/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11, lists of RFC 9651) for every answer, and `Retry-After`
 * for a refusal that ends. Policies in shadow are not shown: they promise nothing. A policy that was let through or shut without
 * asking the store has no `RateLimit` item, since nobody knows what is left.
 *
 * `r` are the units left; `t` is when a refused request would pass, else when everything is left again, in seconds, rounded up.
 */
export function rateLimitHeaders(outcome: RateLimitOutcome): PlainHeaders {
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

/** Whole seconds after which a refused request may be repeated, at least 1; `null` when it will never pass, or was not refused. */
export function retryAfterSeconds(outcome: RateLimitOutcome): number | null {
  const { constrained } = outcome;
  if (outcome.admitted || constrained === null || constrained.retryAfterMs === null) return null;
  return Math.max(1, Math.ceil(constrained.retryAfterMs / 1_000));
}

function policyFieldOf(decisions: readonly RateLimitDecision[]): PolicyField {
  const first = decisions[0]?.policy;
  const known = first === undefined ? undefined : policyFields.get(first);
  if (known !== undefined && isOfPolicies(known, decisions)) return known;
  const policies = decisions.map(({ policy }) => policy);
  const names = policies.map(({ name }) => quote(name));
  const items = policies.map((policy, index) =>
    policy.mode === "shadow" ? "" : `${names[index]}${policyParameters(policy)}`,
  );
  const field = { policies, names, text: items.filter((item) => item !== "").join(", ") };
  if (first !== undefined) policyFields.set(first, field);
  return field;
}

function isOfPolicies({ policies }: PolicyField, decisions: readonly RateLimitDecision[]): boolean {
  if (policies.length !== decisions.length) return false;
  for (let index = 0; index < policies.length; index++) {
    if (policies[index] !== decisions[index]?.policy) return false;
  }
  return true;
}

function policyParameters(policy: RateLimitPolicy): string {
  if (policy.unit === "concurrent-requests") return `;q=${policy.limit};qu="concurrent-requests"`;
  // A window is whole seconds; one that is not cannot be told.
  const hasWholeSeconds = policy.windowMs % 1_000 === 0;
  return hasWholeSeconds ? `;q=${policy.limit};w=${policy.windowMs / 1_000}` : `;q=${policy.limit}`;
}

function timeParameter({ policy, allowed, resetMs, retryAfterMs }: RateLimitDecision): string {
  if (!allowed && retryAfterMs !== null) return `;t=${Math.max(1, Math.ceil(retryAfterMs / 1_000))}`;
  return policy.unit === "requests" ? `;t=${Math.ceil(resetMs / 1_000)}` : "";
}

/** A String (RFC 9651 section 3.3.3). */
function quote(name: string): string {
  return `"${name.replaceAll(/["\\]/g, "\\$&")}"`;
}

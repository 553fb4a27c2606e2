import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import { rateLimitHeaders } from "./rate-limit-headers.ts";
import type { RateLimitOutcome } from "./rate-limit-store.ts";

/**
 * An answer with what is left of the limits. An upstream's own fields stay, behind ours: they are lists, so that nothing of them is lost;
 * and a wait that it asks for is not shortened.
 */
export function withLimitHeaders(response: PlainResponse, outcome: RateLimitOutcome): PlainResponse {
  const own = rateLimitHeaders(outcome);
  const headers: Record<string, string> = { ...own, ...response.headers };
  for (const name of ["ratelimit-policy", "ratelimit"]) {
    const [first, second] = [own[name], response.headers[name]];
    if (first !== undefined && second !== undefined && first !== second) headers[name] = `${first}, ${second}`;
  }
  const degraded = degradedField(outcome);
  if (degraded !== null) headers["ratelimit-degraded"] = degraded;
  return { ...response, headers };
}

/** Policies that were decided without the store, and how: a list of Strings with a parameter (RFC 9651). */
function degradedField({ degraded, verdicts }: RateLimitOutcome): PlainHeaders[string] | null {
  if (degraded === null) return null;
  const items = verdicts
    .filter((verdict) => verdict.degraded !== null && verdict.policy.mode === "enforce")
    .map((verdict) => `"${verdict.policy.name.replaceAll(/["\\]/g, "\\$&")}";decided=${verdict.degraded}`);
  return items.length === 0 ? null : items.join(", ");
}

import type { PlainResponse } from "@letta-environments/schema";
import type { GatewayPrincipal } from "../auth/gateway-principal.ts";
import type { LimitedRoute } from "../limits/settings.ts";
import { withLimitHeaders } from "./limited-answer.ts";
import type { RateLimitOutcome } from "./rate-limit-store.ts";
import type { LimitedRequest, RequestLimits, RequestTraits } from "./request-limits.ts";

/** The part of a request trace in which the limits record their decision. */
export interface LimitedTrace {
  limited: LimitedRequest | null;
}

/** Holds a request to its limits, before it is validated. Resolves with the refusal, or `null` when it may go on. */
export function limitRequest(
  limits: RequestLimits,
  trace: LimitedTrace,
  principal: GatewayPrincipal,
  route: LimitedRoute,
  traits: RequestTraits,
): PlainResponse | null | Promise<PlainResponse | null> {
  const limited = limits.take(principal, route, traits);
  if (!(limited instanceof Promise)) {
    trace.limited = limited;
    return limited.refusal;
  }
  return limited.then((late) => {
    trace.limited = late;
    return late.refusal;
  });
}

/** Notes what the limits say to a failed authentication; returns its answer. */
export function noteRefused(
  trace: LimitedTrace,
  { response, limited }: { readonly response: PlainResponse; readonly limited?: LimitedRequest },
): PlainResponse {
  trace.limited = limited ?? null;
  return response;
}

/** Ends what {@link limitRequest} began: the leases go back, and the answer tells what is left. */
export function endLimits({ limited }: LimitedTrace, response: PlainResponse): PlainResponse {
  if (limited === null) return response;
  limited.release();
  return withLimitHeaders(response, limited.outcome);
}

/** What telemetry is told of the limits; empty when they let the request pass. */
export function describeLimits(outcome: RateLimitOutcome | undefined): {
  readonly limitedBy?: readonly string[];
  readonly shadowLimitedBy?: readonly string[];
  readonly limitsDegraded?: NonNullable<RateLimitOutcome["degraded"]>;
} {
  if (outcome === undefined || (outcome.degraded === null && outcome.verdicts.every(({ allowed }) => allowed)))
    return {};
  const refusing = (mode: "enforce" | "shadow"): readonly string[] =>
    outcome.verdicts.filter(({ policy, allowed }) => policy.mode === mode && !allowed).map(({ policy }) => policy.name);
  const [enforced, shadow] = [refusing("enforce"), refusing("shadow")];
  return {
    ...(enforced.length > 0 && { limitedBy: enforced }),
    ...(shadow.length > 0 && { shadowLimitedBy: shadow }),
    ...(outcome.degraded !== null && { limitsDegraded: outcome.degraded }),
  };
}

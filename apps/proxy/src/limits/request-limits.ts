import type { RateLimitTrace } from "./response.ts";
import { mapMaybe, type MaybePromise } from "../lib/steps.ts";
import type { RateLimitResult } from "./response.ts";
import type { Clock, RandomId } from "@letta-environments/platform";
import type { PlainResponse } from "@letta-environments/schema";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { createChecks } from "../rate-limit/checks.ts";
import { mostConstrained } from "../rate-limit/decide.ts";
import type { RateLimiter } from "../rate-limit/limiter.ts";
import type { RateLimitOutcome, RateLimitDecision } from "../rate-limit/store.ts";
import { createAddressOf } from "./client-address.ts";
import { createPolicyOverrides } from "./key-overrides.ts";
import { rateLimitResponse } from "./response.ts";
import { type LimitedRoute, limitedRoutes, type RateLimitSettings } from "./settings.ts";

/** Addresses that are remembered as shut out. */
const maxBlockedAddresses = 10_000;

/** What of a request its key does not tell. */
export interface RateLimitContext {
  /** From {@link RequestLimits.addressOf}. */
  readonly address: string | null;
  /** The device that is read or sent to, or what stands for it; `null` where there is none. */
  readonly device: string | null;
}

/** The limits, as the pipeline asks them. */
export interface RequestLimits {
  /** The address by which a caller is counted. */
  addressOf(request: GatewayRequest): string | null;
  /** What an address is told for which nothing is looked up at present, because so many authentications failed; else `null`. */
  blockOf(address: string | null): RateLimitResult | null;
  /** Counts a failed authentication; its refusal is what the caller gets in the place of 401. */
  countFailure(address: string | null): RateLimitResult | Promise<RateLimitResult>;
  /** Asks all policies of a request at once. Synchronous where the store is. */
  take(
    principal: GatewayPrincipal,
    route: LimitedRoute,
    traits: RateLimitContext,
  ): RateLimitResult | Promise<RateLimitResult>;
  /** What is left, without taking anything. */
  probe(
    principal: GatewayPrincipal,
    route: LimitedRoute,
    traits: RateLimitContext,
  ): RateLimitOutcome | Promise<RateLimitOutcome>;
}

/** Creates {@link RequestLimits}. */
export function createRequestLimits(
  limiter: RateLimiter,
  { limits, trustedProxies }: Pick<RateLimitSettings, "limits" | "trustedProxies">,
  { clock, randomId }: { readonly clock: Pick<Clock, "now">; readonly randomId: RandomId },
): RequestLimits {
  const routes = new Map(
    limitedRoutes.map((route) => {
      const rules = limits.filter((limit) => limit.routes.has(route)).map(({ rule }) => rule);
      const countsLeases = rules.some(({ policy }) => policy.unit === "concurrent-requests");
      return [route, { checksOf: createChecks(rules), countsLeases }] as const;
    }),
  );
  const ownPolicies = createPolicyOverrides(limits.map(({ rule }) => rule.policy));
  const blocked = createBoundedMap<Block>(maxBlockedAddresses);

  const demandsOfPrincipal = (
    principal: GatewayPrincipal,
    route: LimitedRoute,
    { address, device }: RateLimitContext,
  ) => {
    const { keyId: key, tenant } = principal;
    return routes.get(route)?.checksOf({ key, tenant, route, address, device }, ownPolicies(principal)) ?? [];
  };

  function judgeFailure(address: string | null, outcome: RateLimitOutcome): RateLimitResult {
    const retryAfterMs = outcome.constrained?.retryAfterMs ?? null;
    if (!outcome.admitted && retryAfterMs !== null) {
      const nowMs = clock.now();
      blocked.set(address ?? "", { outcome, sinceMs: nowMs, untilMs: nowMs + retryAfterMs });
    }
    return failureOf(outcome);
  }

  return {
    addressOf: createAddressOf(trustedProxies),
    blockOf(address) {
      const block = blocked.get(address ?? "");
      if (block === undefined) return null;
      const nowMs = clock.now();
      // A clock that was set back must not shut anybody out for longer.
      if (nowMs >= block.sinceMs && nowMs < block.untilMs) {
        return failureOf(afterWaiting(block.outcome, nowMs - block.sinceMs));
      }
      blocked.delete(address ?? "");
      return null;
    },
    countFailure(address) {
      const route = "failedAuthentication";
      const checks = routes.get(route)?.checksOf({ address, route, key: null, tenant: null, device: null }) ?? [];
      const outcome = limiter.take(checks, { probe: false, leaseId: null });
      return outcome instanceof Promise
        ? outcome.then((late) => judgeFailure(address, late))
        : judgeFailure(address, outcome);
    },
    take(principal, route, traits) {
      const checks = demandsOfPrincipal(principal, route, traits);
      // Never the request's own id, which callers may choose: two requests would share a lease.
      const leaseId = routes.get(route)?.countsLeases === true ? randomId("lease") : null;
      const settle = (outcome: RateLimitOutcome): RateLimitResult => ({
        outcome,
        refusal: rateLimitResponse(outcome),
        release() {
          if (leaseId !== null) limiter.release(leaseId, checks, outcome.degraded);
        },
      });
      const outcome = limiter.take(checks, { probe: false, leaseId });
      return outcome instanceof Promise ? outcome.then(settle) : settle(outcome);
    },
    probe: (principal, route, traits) =>
      limiter.take(demandsOfPrincipal(principal, route, traits), { probe: true, leaseId: null }),
  };
}

/** A failed authentication holds no lease. */
function failureOf(outcome: RateLimitOutcome): RateLimitResult {
  return { outcome, refusal: rateLimitResponse(outcome), release: () => undefined };
}

interface Block {
  readonly outcome: RateLimitOutcome;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/** What a refusal says when part of its wait is over, in milliseconds, and nothing was asked anew. */
export function afterWaiting(outcome: RateLimitOutcome, waitedMs: number): RateLimitOutcome {
  const decisions = outcome.decisions.map((decision): RateLimitDecision => {
    const { allowed, resetMs, retryAfterMs } = decision;
    const leftMs = allowed || retryAfterMs === null ? retryAfterMs : Math.max(1, retryAfterMs - waitedMs);
    return { ...decision, resetMs: Math.max(0, resetMs - waitedMs), retryAfterMs: leftMs };
  });
  return { ...outcome, decisions, constrained: mostConstrained(decisions) };
}

/**
 * Takes a request from its limits and records the outcome in the trace. Returns the refusal, or `null` when the request may
 * pass. Synchronous where the store is.
 */
export function limitRequest(
  limits: RequestLimits | null,
  request: GatewayRequest,
  trace: RateLimitTrace,
  principal: GatewayPrincipal,
  route: LimitedRoute,
  device: string | null,
): MaybePromise<PlainResponse | null> {
  if (limits === null) return null;
  const context = { address: limits.addressOf(request), device };
  return mapMaybe(limits.take(principal, route, context), (limited) => {
    trace.limited = limited;
    return limited.refusal;
  });
}

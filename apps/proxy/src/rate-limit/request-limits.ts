import type { Clock, RandomId } from "@letta-environments/platform";
import type { PlainResponse } from "@letta-environments/schema";
import { createBoundedMap } from "../auth/bounded-map.ts";
import type { GatewayPrincipal } from "../auth/gateway-principal.ts";
import { type LimitedRoute, limitedRoutes } from "../limits/settings.ts";
import type { RateLimitSettings } from "../limits/settings.ts";
import type { GatewayRequest } from "../gateway-request.ts";
import { afterWaiting } from "./after-waiting.ts";
import { createAddressOf } from "./create-address-of.ts";
import { createDemands } from "./create-demands.ts";
import type { RateLimiter } from "./create-rate-limiter.ts";
import { createOwnPolicies } from "./own-policies.ts";
import { rateLimitResponse } from "./rate-limit-refusal.ts";
import type { RateLimitOutcome } from "./rate-limit-store.ts";

/** Addresses that are remembered as shut out. */
const maxBlockedAddresses = 10_000;

/** What of a request its key does not tell. */
export interface RequestTraits {
  /** From {@link RequestLimits.addressOf}. */
  readonly address: string | null;
  /** The device that is read or sent to, or what stands for it; `null` where there is none. */
  readonly device: string | null;
}

/** What the limits say to a request. */
export interface LimitedRequest {
  readonly outcome: RateLimitOutcome;
  /** What the caller gets when it is refused. */
  readonly refusal: PlainResponse | null;
  /** Gives the leases back; for when the answer is complete. */
  release(): void;
}

/** The limits, as the pipeline asks them. */
export interface RequestLimits {
  /** The address by which a caller is counted. */
  addressOf(request: GatewayRequest): string | null;
  /** What an address is told for which nothing is looked up at present, because so many authentications failed; else `null`. */
  blockOf(address: string | null): LimitedRequest | null;
  /** Counts a failed authentication; its refusal is what the caller gets in the place of 401. */
  countFailure(address: string | null): LimitedRequest | Promise<LimitedRequest>;
  /** Asks all policies of a request at once. Synchronous where the store is. */
  take(
    principal: GatewayPrincipal,
    route: LimitedRoute,
    traits: RequestTraits,
  ): LimitedRequest | Promise<LimitedRequest>;
  /** What is left, without taking anything. */
  probe(
    principal: GatewayPrincipal,
    route: LimitedRoute,
    traits: RequestTraits,
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
      return [route, { demandsOf: createDemands(rules), countsLeases }] as const;
    }),
  );
  const ownPolicies = createOwnPolicies(limits.map(({ rule }) => rule.policy));
  const blocked = createBoundedMap<Block>(maxBlockedAddresses);

  const demandsOfPrincipal = (principal: GatewayPrincipal, route: LimitedRoute, { address, device }: RequestTraits) => {
    const { keyId: key, tenant } = principal;
    return routes.get(route)?.demandsOf({ key, tenant, route, address, device }, ownPolicies(principal)) ?? [];
  };

  function judgeFailure(address: string | null, outcome: RateLimitOutcome): LimitedRequest {
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
      const demands = routes.get(route)?.demandsOf({ address, route, key: null, tenant: null, device: null }) ?? [];
      const outcome = limiter.take(demands, { probe: false, leaseId: null });
      return outcome instanceof Promise
        ? outcome.then((late) => judgeFailure(address, late))
        : judgeFailure(address, outcome);
    },
    take(principal, route, traits) {
      const demands = demandsOfPrincipal(principal, route, traits);
      // Never the request's own id, which callers may choose: two requests would share a lease.
      const leaseId = routes.get(route)?.countsLeases === true ? randomId("lease") : null;
      const settle = (outcome: RateLimitOutcome): LimitedRequest => ({
        outcome,
        refusal: rateLimitResponse(outcome),
        release() {
          if (leaseId !== null) limiter.release(leaseId, demands, outcome.degraded);
        },
      });
      const outcome = limiter.take(demands, { probe: false, leaseId });
      return outcome instanceof Promise ? outcome.then(settle) : settle(outcome);
    },
    probe: (principal, route, traits) =>
      limiter.take(demandsOfPrincipal(principal, route, traits), { probe: true, leaseId: null }),
  };
}

/** A failed authentication holds no lease. */
function failureOf(outcome: RateLimitOutcome): LimitedRequest {
  return { outcome, refusal: rateLimitResponse(outcome), release: () => undefined };
}

interface Block {
  readonly outcome: RateLimitOutcome;
  readonly sinceMs: number;
  readonly untilMs: number;
}

/**
 * Rate limits of the gateway. Start reading here. The limiter in `../rate-limit/` decides checks; this folder connects it to requests:
 * which limits there are (`settings.ts`) and for which routes (`routes.ts`), which address a client is counted by (`client-address.ts`), how
 * failed authentication is counted (`authentication.ts`), what callers see (`response.ts`) and how they query what remains (`endpoint.ts`).
 *
 * The pipeline authenticates and authorises a request before it charges it, so a request that is refused earlier costs nothing.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import { allowsDevice, type DeviceIdentity, type PlainResponse, type Principal } from "@letta-environments/schema";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { parsePolicyOverride } from "../keys/key-rate-limit.ts";
import { mapMaybe, type MaybePromise } from "../lib/steps.ts";
import { createChecks } from "../rate-limit/checks.ts";
import type { RateLimiter } from "../rate-limit/limiter.ts";
import type { PolicyOverrides, RateLimitCheck, RateLimitPolicy, RateLimitRule } from "../rate-limit/policy.ts";
import type { RateLimitOutcome } from "../rate-limit/store.ts";
import { createFailureLimits, type FailureLimits } from "./authentication.ts";
import { createAddressOf } from "./client-address.ts";
import { rateLimitResponse, type RateLimitResult, type RateLimitRequestState, unleased } from "./response.ts";
import { countedRoutes, type LimitedRoute, limitedRoutes, type RateLimitSettings } from "./settings.ts";

/** The values that a request is counted by, besides its principal and its route. */
export interface RateLimitContext {
  /** From {@link RequestLimits.addressOf}. */
  readonly address: string | null;
  /** The device that is read or receives the send; `null` if there is none or it is not known yet. */
  readonly device: string | null;
}

/** The rate limits of requests and of failed authentication. */
export interface RequestLimits extends FailureLimits {
  /** Charges a request to all limits that apply to it. Returns synchronously if the store does. */
  take(principal: GatewayPrincipal, route: LimitedRoute, context: RateLimitContext): MaybePromise<RateLimitResult>;
  /** Sign-ins have separate limits on failures, in addition to those of every authentication. */
  readonly signIns: FailureLimits;
  /** Charges a request to `GET /v1/ratelimit` to a separate limit: it must not use up the limits that it reports, nor be unlimited. */
  takeQuery(principal: GatewayPrincipal): MaybePromise<RateLimitResult>;
  /** Returns what `take` would decide, and charges nothing. */
  probe(principal: GatewayPrincipal, route: LimitedRoute, context: RateLimitContext): MaybePromise<RateLimitOutcome>;
}

/** The limit on queries of the limits, per key. */
const queryPolicy: RateLimitPolicy = {
  name: "gateway-limit-queries",
  unit: "requests",
  limit: 600,
  windowMs: 60_000,
  burst: 100,
  mode: "enforce",
  onStoreError: "local",
};

/** Creates {@link RequestLimits}. */
export function createRequestLimits(
  limiter: RateLimiter,
  { limits, trustedProxies }: Pick<RateLimitSettings, "limits" | "trustedProxies">,
  { clock, randomId }: { readonly clock: Pick<Clock, "monotonic">; readonly randomId: RandomId },
): RequestLimits {
  const rulesOf = (route: LimitedRoute): readonly RateLimitRule[] => {
    const counted = countedRoutes(route);
    return limits.filter(({ routes }) => counted.some((other) => routes.has(other))).map(({ rule }) => rule);
  };
  const routes = new Map(
    limitedRoutes.map((route) => {
      const rules = rulesOf(route);
      const countsLeases = rules.some(({ policy }) => policy.unit === "concurrent-requests");
      return [route, { checksOf: createChecks(rules), countsLeases }] as const;
    }),
  );
  const overridesOf = createPolicyOverrides(limits.map(({ rule }) => rule.policy));

  function checksOf(
    principal: GatewayPrincipal,
    route: LimitedRoute,
    { address, device }: RateLimitContext,
  ): readonly RateLimitCheck[] {
    const { keyId: key, tenant } = principal;
    return routes.get(route)?.checksOf({ key, tenant, route, address, device }, overridesOf(principal)) ?? [];
  }

  const failuresOf = (route: LimitedRoute): FailureLimits =>
    createFailureLimits(limiter, { route, rules: rulesOf(route) }, createAddressOf(trustedProxies), clock);
  const [failures, signIns] = [failuresOf("failedAuthentication"), failuresOf("failedSignIn")];

  return {
    ...failures,
    signIns: {
      ...signIns,
      // An address that guesses keys elsewhere must not continue here.
      blockOf: (address) => failures.blockOf(address) ?? signIns.blockOf(address),
      exemptions: failures.exemptions,
    },
    take(principal, route, context) {
      const checks = checksOf(principal, route, context);
      // Never the request's own id, which callers may choose: two requests could share a lease.
      const leaseId = routes.get(route)?.countsLeases === true ? randomId("lease") : null;
      let isReleased = false;
      const toResult = (outcome: RateLimitOutcome): RateLimitResult => ({
        outcome,
        refusal: rateLimitResponse(outcome),
        release() {
          if (leaseId !== null && !isReleased) limiter.release(leaseId, checks, outcome.degraded);
          isReleased = true;
        },
      });
      return mapMaybe(limiter.take(checks, { probe: false, leaseId }), toResult);
    },
    takeQuery({ keyId, tenant }) {
      // No rule has a partition key like this one, so a policy of the same name has its own counters.
      const checks = [{ policy: queryPolicy, key: `- ${keyId}`, cost: 1, shard: tenant }];
      return mapMaybe(limiter.take(checks, { probe: false, leaseId: null }), unleased);
    },
    probe: (principal, route, context) =>
      limiter.take(checksOf(principal, route, context), { probe: true, leaseId: null }),
  };
}

/**
 * Charges a request to its limits and records the result in its state. Returns the refusal, or `null` if the request may pass.
 * Returns synchronously if the store does.
 */
export function limitRequest(
  limits: RequestLimits | null,
  { request, state }: { readonly request: GatewayRequest; readonly state: RateLimitRequestState },
  principal: GatewayPrincipal,
  route: LimitedRoute,
  device: string | null = null,
): MaybePromise<PlainResponse | null> {
  if (limits === null) return null;
  const context = { address: limits.addressOf(request), device };
  return mapMaybe(limits.take(principal, route, context), (result) => {
    state.rateLimit = result;
    return result.refusal;
  });
}

/** Like {@link limitRequest}, for a query of the limits. Its response shows the requested limits, so only a refusal is recorded. */
export function limitQuery(
  limits: RequestLimits | null,
  state: RateLimitRequestState,
  principal: GatewayPrincipal,
): MaybePromise<PlainResponse | null> {
  if (limits === null) return null;
  return mapMaybe(limits.takeQuery(principal), (result) => {
    if (result.refusal !== null) state.rateLimit = result;
    return result.refusal;
  });
}

/**
 * Returns the value by which a request is counted in limits per device; `null` for one that names no device. It is the device of the connection or of
 * the path or, if that is unknown so far, the connection. A key without access to the device, or whose access is not known yet, has its own counter,
 * so it cannot use up another key's limit. That one is named by the path alone, so it is the same for a hidden device and for one that does not exist.
 *
 * @param environment the row of the connection, if it was looked up
 */
export function countedDevice(
  principal: Principal,
  { deviceId, connectionId }: Readonly<Record<string, string>>,
  environment?: DeviceIdentity,
): string | null {
  const name = deviceId ?? connectionId ?? null;
  if (name === null) return null;
  // Without the row, only a list of ids can decide. The name is unknown, so only the pattern `*` matches.
  const known = environment ?? { deviceId: deviceId ?? "", connectionName: "" };
  // No id has a space.
  return allowsDevice(principal, known) ? (environment?.deviceId ?? name) : `${name} ${principal.keyId}`;
}

/** Returns a function that returns the policy overrides of a principal's key, or `undefined` if it has none. */
function createPolicyOverrides(
  policies: readonly RateLimitPolicy[],
): (principal: GatewayPrincipal) => PolicyOverrides | undefined {
  // Headers are cached by policy object, so the policies of a principal are created once.
  const known = new WeakMap<GatewayPrincipal, PolicyOverrides>();
  return (principal) => {
    const { rateLimits } = principal;
    if (rateLimits === undefined) return undefined;
    const cached = known.get(principal);
    if (cached !== undefined) return cached;
    const overrides = new Map<string, RateLimitPolicy | null>();
    for (const policy of policies) {
      if (!Object.hasOwn(rateLimits, policy.name)) continue;
      const override = parsePolicyOverride(rateLimits[policy.name] ?? "");
      // A key with one that cannot be read is refused.
      if (override !== null) overrides.set(policy.name, override === "none" ? null : { ...policy, ...override });
    }
    known.set(principal, overrides);
    return overrides;
  };
}

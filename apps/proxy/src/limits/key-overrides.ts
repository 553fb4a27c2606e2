import type { GatewayPrincipal } from "../auth/authentication.ts";
import { parsePolicyOverride } from "../keys/key-rate-limit.ts";
import type { PolicyOverrides, RateLimitPolicy } from "../rate-limit/policy.ts";

/** Creates what tells a principal's own policies, made once for each principal; `undefined` for one that has none. */
export function createPolicyOverrides(
  policies: readonly RateLimitPolicy[],
): (principal: GatewayPrincipal) => PolicyOverrides | undefined {
  const known = new WeakMap<GatewayPrincipal, PolicyOverrides>();
  return (principal) => {
    const { rateLimits } = principal;
    if (rateLimits === undefined) return undefined;
    let own = known.get(principal);
    if (own === undefined) {
      own = new Map(
        policies.flatMap((policy): [string, RateLimitPolicy | null][] => {
          if (!Object.hasOwn(rateLimits, policy.name)) return [];
          const measure = parsePolicyOverride(rateLimits[policy.name] ?? "");
          // What cannot be read, though it was checked when it was stored, changes nothing.
          if (measure === null) return [];
          return [[policy.name, measure === "none" ? null : { ...policy, ...measure }]];
        }),
      );
      known.set(principal, own);
    }
    return own;
  };
}

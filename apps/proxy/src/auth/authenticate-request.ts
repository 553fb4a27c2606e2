import type { GatewayRequest } from "../gateway-request.ts";
import type { RequestLimits } from "../rate-limit/request-limits.ts";
import type { AuthenticateCaller, CallerAuthentication } from "./authenticate-caller.ts";

/** Judges who makes a request. */
export type AuthenticateRequest = (request: GatewayRequest) => CallerAuthentication | Promise<CallerAuthentication>;

/**
 * Creates an {@link AuthenticateRequest} that counts failures by address. From an address with too many, only what was verified before is
 * let in: nothing is looked up for it, hashed or asked of anybody.
 */
export function createAuthenticateRequest(
  callers: Pick<AuthenticateCaller, "authenticate">,
  limits: RequestLimits | null,
): AuthenticateRequest {
  if (limits === null) return (request) => callers.authenticate(request.header("authorization"));
  const { addressOf, blockOf, countFailure } = limits;

  function judge(
    authentication: CallerAuthentication,
    address: string | null,
  ): CallerAuthentication | Promise<CallerAuthentication> {
    if (authentication.kind === "authenticated" || authentication.response.status !== 401) return authentication;
    const refusal = countFailure(address);
    if (refusal === null) return authentication;
    return refusal instanceof Promise
      ? refusal.then((late) => (late === null ? authentication : { kind: "refused", response: late }))
      : { kind: "refused", response: refusal };
  }

  return (request) => {
    const authorization = request.header("authorization");
    const address = addressOf(request);
    const block = blockOf(address);
    if (block !== null) {
      const known = callers.authenticate(authorization, true);
      return known instanceof Promise || known.kind === "refused" ? { kind: "refused", response: block } : known;
    }
    const authentication = callers.authenticate(authorization);
    return authentication instanceof Promise
      ? authentication.then((late) => judge(late, address))
      : judge(authentication, address);
  };
}

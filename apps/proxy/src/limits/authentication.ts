import type { PlainResponse } from "@letta-environments/schema";
import type { AuthenticateCaller, CallerAuthentication } from "../auth/authenticate-caller.ts";
import { invalidKey } from "../auth/authentication.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { RateLimitResult } from "./response.ts";
import type { RequestLimits } from "./request-limits.ts";

/** Who makes a request; of a failure that was counted, what the limits say to it. */
export type RequestAuthentication = CallerAuthentication & { readonly limited?: RateLimitResult };

/** Judges who makes a request. */
export type AuthenticateRequest = (request: GatewayRequest) => RequestAuthentication | Promise<RequestAuthentication>;

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
  ): RequestAuthentication | Promise<RequestAuthentication> {
    if (authentication.kind === "authenticated" || authentication.response.status !== 401) return authentication;
    const { response } = authentication;
    const limited = countFailure(address);
    return limited instanceof Promise ? limited.then((late) => refuse(late, response)) : refuse(limited, response);
  }

  return (request) => {
    const authorization = request.header("authorization");
    const address = addressOf(request);
    const block = blockOf(address);
    if (block !== null) {
      const known = callers.authenticate(authorization, true);
      return known instanceof Promise || known.kind === "refused" ? refuse(block, invalidKey()) : known;
    }
    const authentication = callers.authenticate(authorization);
    return authentication instanceof Promise
      ? authentication.then((late) => judge(late, address))
      : judge(authentication, address);
  };
}

/** The refusal of the limits, or else that of whoever judged the caller. */
function refuse(limited: RateLimitResult, response: PlainResponse): RequestAuthentication {
  return { kind: "refused", response: limited.refusal ?? response, limited };
}

/**
 * `Via` (RFC 9110 section 7.6.3) of requests to a remote server. It names this gateway, so that a request that the upstream sends back here is
 * recognised and refused. Without that, a gateway that is its own upstream would call itself until no connection is left.
 */
import type { RandomId } from "@letta-environments/platform";
import type { GatewayRequest } from "./gateway-request.ts";

/** Returns the `Via` of a request to the upstream; `null` if this gateway has already forwarded the request. */
export type ContinueVia = (request: Pick<GatewayRequest, "header">) => string | null;

/** A received value that is forwarded. A longer one would let a caller fill the head of the request. */
const continuedValue = /^[\t\x20-\x7e]{1,512}$/;

/** Creates a {@link ContinueVia} with a pseudonym that no other gateway has, so that several gateways can be chained. */
export function createContinueVia(randomId: RandomId): ContinueVia {
  const pseudonym = randomId("letta-proxy");
  // The same for every HTTP version of callers: a constant text costs nothing, and only the name is read again.
  const own = `1.1 ${pseudonym}`;
  return (request) => {
    const received = request.header("via") ?? "";
    if (received.includes(pseudonym)) return null;
    return continuedValue.test(received) ? `${received}, ${own}` : own;
  };
}

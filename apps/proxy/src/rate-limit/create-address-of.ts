import { createBoundedMap } from "../auth/bounded-map.ts";
import type { GatewayRequest } from "../gateway-request.ts";
import { clientAddress, groupAddress, type TrustedProxies } from "./client-address.ts";

/** Peers whose group is remembered: a connection asks many times. */
const maxRememberedPeers = 10_000;

/** Creates what tells the address by which the caller of a request is counted ({@link clientAddress}). */
export function createAddressOf(trustedProxies: TrustedProxies): (request: GatewayRequest) => string | null {
  const groups = createBoundedMap<string | null>(maxRememberedPeers);
  if (trustedProxies.trustedHops > 0) {
    return (request) =>
      clientAddress(
        {
          peer: request.clientAddress,
          xForwardedFor: request.header("x-forwarded-for"),
          forwarded: request.header("forwarded"),
        },
        trustedProxies,
      );
  }
  return ({ clientAddress: peer }) => {
    if (peer === null) return null;
    let group = groups.get(peer);
    if (group === undefined) {
      group = groupAddress(peer);
      groups.set(peer, group);
    }
    return group;
  };
}

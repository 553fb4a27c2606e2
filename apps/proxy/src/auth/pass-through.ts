import type { Principal } from "@letta-environments/schema";
import type { ProxyPorts } from "../ports.ts";
import { type BoundedMap, createBoundedMap } from "./bounded-map.ts";

/** How the tenants of callers with their own upstream keys begin. No other tenant may. */
export const passThroughTenantPrefix = "passthrough:";

const maxPrincipals = 10_000;

/** Callers that bring their own key of the upstream, which is the judge of it. */
export interface PassThrough {
  principalOf(key: string): Principal;
  /** Whether the key was seen before, and not refused since. */
  knows(key: string): boolean;
  /** Drops what is remembered of a key. */
  forget(key: string): void;
}

/**
 * Creates a {@link PassThrough}. The principal is told by a digest under the pepper: two keys never share a tenant, and
 * neither logs nor ids help to guess a key.
 */
export function createPassThrough({ digests, pepper }: Pick<ProxyPorts, "digests" | "pepper">): PassThrough {
  const known: BoundedMap<Principal> = createBoundedMap(maxPrincipals);
  return {
    principalOf(key) {
      const digest = digests.sha256(key);
      const principal = known.get(digest) ?? principalWith(digests.hmacSha256(pepper.secret, `passthrough\n${key}`));
      known.set(digest, principal);
      return principal;
    },
    knows: (key) => known.get(digests.sha256(key)) !== undefined,
    forget: (key) => known.delete(digests.sha256(key)),
  };
}

function principalWith(digest: string): Principal {
  const tenant = `${passThroughTenantPrefix}${digest.slice(0, 32)}`;
  return {
    tenant,
    keyId: tenant,
    owner: "passthrough",
    // The upstream decides what its own key may do and see.
    scopes: new Set(["list", "read", "send", "approve", "details"]),
    deviceIds: null,
    connectionNames: null,
    agentIds: null,
    maxMode: null,
    shared: false,
  };
}

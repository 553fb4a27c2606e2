import type { Principal } from "@letta-environments/schema";
import type { GatewayPorts } from "../ports.ts";
import { type BoundedMap, createBoundedMap } from "../lib/bounded-map.ts";

/** How the tenants of callers with their own upstream keys begin. No other tenant may. */
export const passThroughTenantPrefix = "passthrough:";

const maxPrincipals = 10_000;

/** Callers that bring their own key of the upstream, which is the judge of it. */
export interface PassThrough {
  principalOf(key: string): Principal;
  /** Whether the upstream has accepted the key, and not refused it since. */
  knows(key: string): boolean;
  /** Remembers that the upstream has accepted a key. */
  confirm(key: string): void;
  /** Drops what is remembered of a key. */
  forget(key: string): void;
}

/**
 * Creates a {@link PassThrough}. The principal is told by a digest under the pepper: two keys never share a tenant, and
 * neither logs nor ids help to guess a key.
 */
export function createPassThrough({ digests, pepper }: Pick<GatewayPorts, "digests" | "pepper">): PassThrough {
  const known: BoundedMap<KnownCaller> = createBoundedMap(maxPrincipals);
  return {
    principalOf(key) {
      const digest = digests.sha256(key);
      const caller = known.get(digest) ?? {
        principal: principalWith(digests.hmacSha256(pepper.secret, `passthrough\n${key}`)),
        isAccepted: false,
      };
      known.set(digest, caller);
      return caller.principal;
    },
    knows: (key) => known.get(digests.sha256(key))?.isAccepted === true,
    confirm(key) {
      const caller = known.get(digests.sha256(key));
      if (caller !== undefined) caller.isAccepted = true;
    },
    forget: (key) => known.delete(digests.sha256(key)),
  };
}

interface KnownCaller {
  readonly principal: Principal;
  isAccepted: boolean;
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

/** Callers that send their own upstream key. The upstream decides whether such a key is valid. */
import type { Principal } from "@letta-environments/schema";
import { createBoundedMap } from "../lib/bounded-map.ts";
import { passThroughTenantPrefix } from "../lib/setting-rules.ts";
import type { GatewayPorts } from "../ports.ts";

const maxCallers = 10_000;

/** The callers' own upstream keys. */
export interface PassThrough {
  principalOf(key: string): Principal;
  /** Whether the upstream has accepted the key and not refused it since. */
  knows(key: string): boolean;
  /** Remembers that the upstream has accepted a key. */
  confirm(key: string): void;
  /** Forgets that the upstream has accepted a key. */
  forget(key: string): void;
}

/**
 * Creates a {@link PassThrough}. Tenant and key id are a digest under the pepper: two keys never share a tenant, and neither
 * logs nor ids help to guess a key. Accepted keys have a separate map, which made-up keys cannot fill.
 */
export function createPassThrough({ digests, pepper }: Pick<GatewayPorts, "digests" | "pepper">): PassThrough {
  const principals = createBoundedMap<Principal>(maxCallers);
  const accepted = createBoundedMap<true>(maxCallers);
  return {
    principalOf(key) {
      const digest = digests.sha256(key);
      const known = principals.get(digest);
      if (known !== undefined) return known;
      const principal = createPrincipal(digests.hmacSha256(pepper.secret, `passthrough\n${key}`));
      principals.set(digest, principal);
      return principal;
    },
    knows: (key) => accepted.get(digests.sha256(key)) === true,
    confirm: (key) => accepted.set(digests.sha256(key), true),
    forget: (key) => accepted.delete(digests.sha256(key)),
  };
}

function createPrincipal(digest: string): Principal {
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

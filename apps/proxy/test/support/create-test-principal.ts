import type { GatewayPrincipal } from "../../src/auth/authentication.ts";

/** A principal that may list, read and send, of every device. */
export function createTestPrincipal(overrides: Partial<GatewayPrincipal> = {}): GatewayPrincipal {
  return {
    tenant: "default",
    keyId: "key-1",
    owner: "somebody",
    scopes: new Set(["list", "read", "send"]),
    deviceIds: null,
    connectionNames: null,
    agentIds: null,
    maxMode: null,
    shared: false,
    ...overrides,
  };
}

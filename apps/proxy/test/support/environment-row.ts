import type { Environment } from "@letta-environments/schema";

/** A row of an online device. */
export function environmentRow(id: string, overrides: Partial<Environment> = {}): Environment {
  return {
    id,
    connectedAt: 1_800_000_000_000,
    connectionId: `conn-${id}`,
    connectionName: "box",
    deviceId: `device-${id}`,
    firstSeenAt: 1_800_000_000_000,
    lastHeartbeat: 1_800_000_000_000,
    lastSeenAt: 1_800_000_000_000,
    organizationId: "org",
    podId: "pod",
    ...overrides,
  };
}

import type { Environment } from "@letta-environments/schema";

/** A row of an offline device; what a test needs is given. */
export function exampleEnvironment(members: Partial<Environment> & { readonly deviceId: string }): Environment {
  return {
    id: `env-${members.deviceId}`,
    connectedAt: null,
    connectionId: null,
    connectionName: members.deviceId,
    firstSeenAt: 0,
    lastHeartbeat: null,
    lastSeenAt: 0,
    organizationId: "org-1",
    podId: null,
    ...members,
  };
}

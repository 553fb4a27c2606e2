import type { Environment, EnvironmentMetadata } from "@letta-environments/schema";
import type { DeviceStatus, EnvironmentRow } from "./ports.ts";
import type { Presence } from "./socket/device-connection.ts";

/** An environment with the member that official clients read although the API text does not have it. */
export type ShownEnvironment = Environment & { readonly listenerInstanceId: string };

/**
 * What the API shows of a row. `presence` is that of the device while it can be messaged, else `null`: then `connectedAt`,
 * `connectionId`, `lastHeartbeat` and `podId` are null, as the official clients read them.
 */
export function rowToEnvironment(row: EnvironmentRow, presence: Presence | null, podId: string): ShownEnvironment {
  const status = presence?.status ?? row;
  const metadata = mergeMetadata(row.metadata, status);
  return {
    id: row.id,
    connectedAt: presence?.connectedAtMs ?? null,
    connectionId: presence?.connectionId ?? null,
    connectionName: row.connectionName,
    deviceId: row.deviceId,
    listenerInstanceId: row.listenerInstanceId,
    firstSeenAt: row.firstSeenAt,
    lastHeartbeat: presence?.lastHeartbeatMs ?? null,
    lastSeenAt: Math.max(row.lastSeenAt, presence?.lastSeenMs ?? 0),
    organizationId: row.tenant,
    podId: presence === null ? null : podId,
    apiKeyOwner: row.owner,
    userId: row.owner,
    ...(status.currentMode !== null && { currentMode: status.currentMode }),
    ...(metadata !== null && { metadata }),
  };
}

function mergeMetadata(registered: EnvironmentMetadata | null, status: DeviceStatus): EnvironmentMetadata | null {
  const { workingDirectory, gitBranch } = status;
  if (workingDirectory === null && gitBranch === null) return registered;
  return {
    ...registered,
    ...(workingDirectory !== null && { workingDirectory }),
    ...(gitBranch !== null && { gitBranch }),
  };
}

import {
  type Environment,
  jsonResponse,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { rowToEnvironment } from "../row-to-environment.ts";
import { mayUseDevice, type ServerContext } from "./operation-context.ts";

/** Rows that one device may have: listeners beside each other, each with its listenerInstanceId. */
const maxListeners = 1_000;

/**
 * Reads a device. Of several rows for one deviceId the online one with the latest heartbeat is shown, else the one that was
 * seen last. A device that the principal may not see is 404, as one that does not exist.
 */
export async function retrieveEnvironment(
  context: ServerContext,
  deviceId: string,
  principal: Principal,
): Promise<PlainResponse> {
  if (!mayUseDevice(principal, deviceId)) return problemResponse("environment_not_found");
  const rows = await context.store.listEnvironments({
    tenant: principal.tenant,
    afterId: null,
    environmentIds: null,
    deviceIds: [deviceId],
    owner: null,
    limit: maxListeners,
  });
  const [best] = rows
    .map((row) => rowToEnvironment(row, context.hub.presence(row.id), context.podId))
    .toSorted(compareLiveliness);
  return best === undefined ? problemResponse("environment_not_found") : jsonResponse(200, best);
}

/** Sorts the liveliest row first. */
function compareLiveliness(left: Environment, right: Environment): number {
  return (right.lastHeartbeat ?? -1) - (left.lastHeartbeat ?? -1) || right.lastSeenAt - left.lastSeenAt;
}

import {
  allowsDevice,
  type Environment,
  jsonResponse,
  type PlainResponse,
  presentEnvironment,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { rowToEnvironment } from "../row-to-environment.ts";
import type { ServerContext } from "./operation-context.ts";

/**
 * Reads a device. Of several rows for one deviceId, as far as the principal may see them, the online one with the latest
 * heartbeat is shown, else the one that was seen last. A device that the principal may not see is 404, as one that does not
 * exist.
 */
export async function retrieveEnvironment(
  context: ServerContext,
  deviceId: string,
  principal: Principal,
): Promise<PlainResponse> {
  const rows = await context.store.findEnvironments(principal.tenant, deviceId);
  const [best] = rows
    .filter((row) => allowsDevice(principal, row))
    .map((row) => rowToEnvironment(row, context.hub.presence(row.id), context.podId))
    .toSorted(compareLiveliness);
  if (best === undefined) return problemResponse("environment_not_found");
  return jsonResponse(200, presentEnvironment(principal, best));
}

/** Sorts the liveliest row first. */
function compareLiveliness(left: Environment, right: Environment): number {
  return (right.lastHeartbeat ?? -1) - (left.lastHeartbeat ?? -1) || right.lastSeenAt - left.lastSeenAt;
}

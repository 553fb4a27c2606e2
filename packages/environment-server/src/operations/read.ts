/**
 * Listing and retrieving environments. A row of the store becomes what the API shows: with the presence of a device that is
 * online, and without what the principal may not see.
 */
import {
  allowsDevice,
  defaultListLimit,
  type Environment,
  type EnvironmentList,
  type EnvironmentMetadata,
  jsonResponse,
  type OperationInput,
  type PlainResponse,
  presentEnvironment,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import type { DeviceStatus, EnvironmentFilter, EnvironmentRow } from "../ports.ts";
import type { ServerContext } from "./context.ts";

/** An environment with a member that official clients read although the API text does not mention it. */
type ShownEnvironment = Environment & { readonly listenerInstanceId: string };

/** Names and ids that are looked at in one turn of the event loop. */
const rowsAtATime = 500;

/** Lists the tenant's environments that the principal may see, ordered by id. Every row here is `source=local`. */
export async function listEnvironments(
  context: ServerContext,
  { query }: OperationInput<"listEnvironments">,
  principal: Principal,
): Promise<PlainResponse> {
  const { after, limit = defaultListLimit, onlineOnly = false, source, userId } = query;
  if (source === "remote") return jsonResponse(200, { connections: [], hasNextPage: false } satisfies EnvironmentList);
  const filter: EnvironmentFilter = {
    tenant: principal.tenant,
    afterId: after ?? null,
    environmentIds: null,
    deviceIds: principal.deviceIds,
    owner: userId ?? null,
    limit: limit + 1,
  };
  const needsNames = principal.connectionNames !== null || (principal.tenantDevices ?? null) !== null;
  const rows =
    onlineOnly || needsNames
      ? await readByIds(context, await findIds(context, principal, filter, { onlineOnly, needsNames }), filter)
      : await context.store.listEnvironments(filter);
  const list: EnvironmentList = {
    connections: rows
      .slice(0, limit)
      .map((row) => presentEnvironment<Environment>(principal, toEnvironment(context, row))),
    hasNextPage: rows.length > limit,
  };
  return jsonResponse(200, list);
}

/**
 * Retrieves a device. When a deviceId has several rows that the principal may see, the response shows the online one with the
 * latest heartbeat, else the one that was seen last. A device that the principal may not see is 404, as if it did not exist.
 */
export async function retrieveEnvironment(
  context: ServerContext,
  { params }: OperationInput<"retrieveEnvironment">,
  principal: Principal,
): Promise<PlainResponse> {
  const rows = await context.store.findEnvironments(principal.tenant, params.deviceId);
  const [best] = rows
    .filter((row) => allowsDevice(principal, row))
    .map((row) => toEnvironment(context, row))
    .toSorted(compareLiveliness);
  if (best === undefined) return problemResponse("environment_not_found");
  return jsonResponse(200, presentEnvironment(principal, best));
}

/** Sorts the row with the latest sign of life first. */
function compareLiveliness(left: Environment, right: Environment): number {
  return (right.lastHeartbeat ?? -1) - (left.lastHeartbeat ?? -1) || right.lastSeenAt - left.lastSeenAt;
}

/**
 * Finds the ids of as many rows as the filter asks for, of those that are online or that the principal may see. It looks at a
 * page of ids at a time, without what may be large in a row, and lets other work run after each {@link rowsAtATime} of them.
 */
async function findIds(
  context: ServerContext,
  principal: Principal,
  filter: EnvironmentFilter,
  { onlineOnly, needsNames }: { readonly onlineOnly: boolean; readonly needsNames: boolean },
): Promise<readonly string[]> {
  const { hub, store, clock } = context;
  // Name patterns are matched here, because the query language of a store may match differently. So are ids of devices then,
  // because a key may see a device by its id or by its name.
  const deviceIds = needsNames ? null : filter.deviceIds;
  const found: string[] = [];
  let { afterId } = filter;
  let lookedAt = 0;
  // Most often every id counts, so the first page is as long as the response, and the next ones longer.
  for (let pageSize = filter.limit; ; pageSize = Math.min(rowsAtATime, 4 * pageSize)) {
    const openIds = onlineOnly ? hub.openIds(filter.tenant, afterId, pageSize) : null;
    const environmentIds = openIds?.filter((id) => hub.online(id) !== null) ?? null;
    const names = await store.listNames({ ...filter, afterId, environmentIds, deviceIds, limit: pageSize });
    found.push(...names.filter((name) => !needsNames || allowsDevice(principal, name)).map(({ id }) => id));
    const page = openIds ?? names.map(({ id }) => id);
    const last = page.at(-1);
    if (found.length >= filter.limit || last === undefined || page.length < pageSize) {
      return found.slice(0, filter.limit);
    }
    afterId = last;
    lookedAt += page.length;
    if (lookedAt < rowsAtATime) continue;
    lookedAt = 0;
    await new Promise<void>((resolve) => void clock.setTimer(0, resolve));
  }
}

async function readByIds(
  { store }: ServerContext,
  environmentIds: readonly string[],
  filter: EnvironmentFilter,
): Promise<readonly EnvironmentRow[]> {
  return store.listEnvironments({ ...filter, environmentIds, deviceIds: null });
}

/** Converts a row. `connectedAt`, `connectionId`, `lastHeartbeat` and `podId` are `null` while the device is offline. */
function toEnvironment({ hub, podId }: Pick<ServerContext, "hub" | "podId">, row: EnvironmentRow): ShownEnvironment {
  const presence = hub.presence(row.id);
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
    lastSeenAt: presence?.lastSeenMs ?? row.lastSeenAt,
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

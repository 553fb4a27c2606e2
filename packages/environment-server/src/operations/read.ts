/** Reads environments: which rows a list has and in which order, a device, and the device on which a conversation ran last. */
import { sleep } from "@letta-environments/platform";
import {
  allowsAgent,
  allowsDevice,
  defaultListLimit,
  devicesPerTurn,
  hasEveryTag,
  isUserHidden,
  type EnvironmentList,
  jsonResponse,
  type LastRuntime,
  type OperationInput,
  type PlainResponse,
  presentMetadata,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import type { EnvironmentFilter, EnvironmentName, EnvironmentRow } from "../ports.ts";
import type { ServerContext } from "./context.ts";
import { mergeMetadata } from "./presentation.ts";

/** Ids that are examined in one turn of the event loop. */
const rowsAtATime = 500;

/** Lists the tenant's environments that the principal may see, ordered by id. Every row here is `source=local`. */
export async function listEnvironments(
  server: ServerContext,
  { query }: OperationInput<"listEnvironments">,
  principal: Principal,
): Promise<PlainResponse> {
  const { after, limit = defaultListLimit, onlineOnly = false, source, userId, tag: tags = [] } = query;
  if (source === "remote" || isUserHidden(principal, userId))
    return jsonResponse(200, { connections: [], hasNextPage: false } satisfies EnvironmentList);
  const filter: EnvironmentFilter = {
    tenant: principal.tenant,
    afterId: after ?? null,
    environmentIds: null,
    deviceIds: principal.deviceIds,
    owner: userId ?? null,
    limit: limit + 1,
  };
  const needsNames =
    tags.length > 0 ||
    principal.connectionNames !== null ||
    (principal.tenantDevices ?? null) !== null ||
    (principal.deviceTags ?? null) !== null;
  const isListed = (name: EnvironmentName): boolean => allowsDevice(principal, name) && hasEveryTag(name, tags);
  let rows: readonly EnvironmentRow[];
  if (needsNames) {
    const rowsPerTurn = devicesPerTurn(principal);
    const environmentIds = await findIds(server, isListed, filter, { onlineOnly, rowsPerTurn });
    rows = await server.store.listEnvironments({ ...filter, environmentIds, deviceIds: null });
  } else rows = await (onlineOnly ? readOnline(server, filter) : server.store.listEnvironments(filter));
  return server.presentation.page(principal, rows.slice(0, limit), rows.length > limit);
}

/**
 * Retrieves a device. When a deviceId has several rows that the principal may see, the response shows the online one with the
 * latest heartbeat, else the one that was seen last. A device that the principal may not see is 404, as if it did not exist.
 */
export async function retrieveEnvironment(
  server: ServerContext,
  { params }: OperationInput<"retrieveEnvironment">,
  principal: Principal,
): Promise<PlainResponse> {
  const rows = await server.store.findEnvironments(principal.tenant, params.deviceId);
  const best = await server.presentation.mostRecentlySeen(rows.filter((row) => allowsDevice(principal, row)));
  return best === undefined ? problemResponse("environment_not_found") : server.presentation.one(principal, best);
}

/** How many rows that ran the conversation are searched for the first one within reach. */
const maxRuns = 1_000;

/**
 * Returns the device within reach that last accepted a message of a conversation. Without one, the response is 404 `environment_not_found`, also for
 * an unknown conversation, an agent that the principal may not use, or devices out of reach.
 */
export async function retrieveLastRuntime(
  { store, router, time }: ServerContext,
  { params: { agentId, conversationId } }: OperationInput<"retrieveLastRuntime">,
  principal: Principal,
): Promise<PlainResponse> {
  if (!allowsAgent(principal, agentId)) return notRun;
  const { tenant } = principal;
  const runs = await store.findRuns(tenant, agentId, conversationId, maxRuns);
  const environmentIds = runs.map(({ environmentId }) => environmentId);
  const filter = { tenant, afterId: null, environmentIds, deviceIds: null, owner: null, limit: maxRuns };
  const rows = runs.length === 0 ? [] : await store.listEnvironments(filter);
  const reached = new Map(rows.filter((row) => allowsDevice(principal, row)).map((row) => [row.id, row]));
  const run = runs.find(({ environmentId }) => reached.has(environmentId));
  const row = run && reached.get(run.environmentId);
  if (run === undefined || row === undefined) return notRun;
  const [presence = null] = await router.presence([row.id]);
  const isOnline = presence !== null;
  return jsonResponse(200, {
    environmentId: row.id,
    deviceId: row.deviceId,
    connectionName: row.connectionName,
    metadata: presentMetadata(principal, mergeMetadata(row.metadata, presence?.status ?? row)),
    status: isOnline ? "online" : "offline",
    isOnline,
    lastSeenAt: presence?.lastSeenMs ?? Math.min(row.lastSeenAt, time.wall()),
    lastUsedAt: time.wallAt(run.usedAt),
    source: "environment",
  } satisfies LastRuntime);
}

const notRun: PlainResponse = problemResponse("environment_not_found", {
  detail: "No device has run this conversation.",
  issues: [{ member: "conversationId", rule: "must be a conversation that a device has run" }],
});

/** Reads rows of devices that are online, up to the limit of the filter. */
function readOnline(server: ServerContext, filter: EnvironmentFilter): Promise<readonly EnvironmentRow[]> {
  const { router, store } = server;
  return readPages(server, filter, rowsAtATime, async (afterId, pageSize) => {
    const ids = await router.onlineIds(filter.tenant, afterId, pageSize);
    return { found: await store.listEnvironments({ ...filter, environmentIds: ids }), ids };
  });
}

/**
 * Finds the ids of rows by their names and tags, up to the limit of the filter, without reading the large members of a row. Name patterns
 * are matched here, because the query language of a store may match differently. So are ids of devices, because a key may see a device by
 * its id or by its name.
 */
function findIds(
  server: ServerContext,
  isListed: (name: EnvironmentName) => boolean,
  filter: EnvironmentFilter,
  { onlineOnly, rowsPerTurn }: { readonly onlineOnly: boolean; readonly rowsPerTurn: number },
): Promise<readonly string[]> {
  const { router, store } = server;
  return readPages(server, filter, rowsPerTurn, async (afterId, pageSize) => {
    const environmentIds = onlineOnly ? await router.onlineIds(filter.tenant, afterId, pageSize) : null;
    const names = await store.listNames({ ...filter, afterId, environmentIds, deviceIds: null, limit: pageSize });
    const found = names.filter(isListed).map(({ id }) => id);
    return { found, ids: environmentIds ?? names.map(({ id }) => id) };
  });
}

/** The rows found in a page, and the ids that were examined. */
interface Page<Found> {
  readonly found: readonly Found[];
  readonly ids: readonly string[];
}

/** Reads pages until enough rows are found. Lets other work run after each `rowsPerTurn` ids. */
async function readPages<Found>(
  { clock }: ServerContext,
  filter: EnvironmentFilter,
  rowsPerTurn: number,
  read: (afterId: string | null, pageSize: number) => Promise<Page<Found>>,
): Promise<readonly Found[]> {
  const found: Found[] = [];
  let { afterId } = filter;
  let examinedCount = 0;
  // Usually every id matches, so the first page is as long as the response, and the next ones longer.
  for (let pageSize = Math.min(rowsPerTurn, filter.limit); ; pageSize = Math.min(rowsPerTurn, 4 * pageSize)) {
    const page = await read(afterId, pageSize);
    found.push(...page.found);
    const last = page.ids.at(-1);
    if (found.length >= filter.limit || last === undefined || page.ids.length < pageSize) {
      return found.slice(0, filter.limit);
    }
    afterId = last;
    examinedCount += page.ids.length;
    if (examinedCount < rowsPerTurn) continue;
    examinedCount = 0;
    await sleep(clock, 0);
  }
}

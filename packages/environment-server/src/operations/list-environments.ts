import {
  allowsDevice,
  decodeQuery,
  defaultListLimit,
  type EnvironmentList,
  jsonResponse,
  ListEnvironmentsQuerySchema,
  type PlainRequest,
  type PlainResponse,
  presentEnvironment,
  type Principal,
} from "@letta-environments/schema";
import type { EnvironmentFilter, EnvironmentRow, EnvironmentRows } from "../ports.ts";
import { rowToEnvironment } from "../row-to-environment.ts";
import type { ServerContext } from "./operation-context.ts";

/** Rows that are read at a time when names decide which of them are shown. */
const rowsAtATime = 500;

/** Lists the tenant's environments that the principal may see, ordered by id. Every row here is `source=local`. */
export async function listEnvironments(
  context: ServerContext,
  request: PlainRequest,
  principal: Principal,
): Promise<PlainResponse> {
  const query = decodeQuery(ListEnvironmentsQuerySchema, request.query);
  if (!query.ok) return query.response;
  const { after, limit = defaultListLimit, onlineOnly = false, source, userId } = query.value;
  if (source === "remote") return jsonResponse(200, { connections: [], hasNextPage: false } satisfies EnvironmentList);
  const rows = await readAllowed(context.store, principal, {
    tenant: principal.tenant,
    afterId: after ?? null,
    environmentIds: onlineOnly ? context.hub.onlineIds(principal.tenant) : null,
    deviceIds: null,
    owner: userId ?? null,
    limit: limit + 1,
  });
  const list: EnvironmentList = {
    connections: rows
      .slice(0, limit)
      .map((row) => rowToEnvironment(row, context.hub.presence(row.id), context.podId))
      .map((environment) => presentEnvironment(principal, environment)),
    hasNextPage: rows.length > limit,
  };
  return jsonResponse(200, list);
}

/** As many rows as the filter asks for, of those that the principal may see. */
async function readAllowed(
  store: Pick<EnvironmentRows, "listEnvironments">,
  principal: Principal,
  filter: EnvironmentFilter,
): Promise<readonly EnvironmentRow[]> {
  const { deviceIds, connectionNames, tenantDevices = null } = principal;
  if (connectionNames === null && tenantDevices === null) return store.listEnvironments({ ...filter, deviceIds });
  const found: EnvironmentRow[] = [];
  let { afterId } = filter;
  // The pattern rule is the gateway's own, so it is applied here and not in the store's language.
  for (;;) {
    const rows = await store.listEnvironments({ ...filter, afterId, limit: rowsAtATime });
    found.push(...rows.filter((row) => allowsDevice(principal, row)));
    const last = rows.at(-1);
    if (found.length >= filter.limit || last === undefined || rows.length < rowsAtATime) {
      return found.slice(0, filter.limit);
    }
    afterId = last.id;
  }
}

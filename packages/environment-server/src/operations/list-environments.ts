import {
  decodeQuery,
  defaultListLimit,
  type EnvironmentList,
  jsonResponse,
  ListEnvironmentsQuerySchema,
  type PlainRequest,
  type PlainResponse,
  type Principal,
} from "@letta-environments/schema";
import { rowToEnvironment } from "../row-to-environment.ts";
import type { ServerContext } from "./operation-context.ts";

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
  const rows = await context.store.listEnvironments({
    tenant: principal.tenant,
    afterId: after ?? null,
    environmentIds: onlineOnly ? context.hub.onlineIds(principal.tenant) : null,
    deviceIds: principal.deviceIds,
    owner: userId ?? null,
    limit: limit + 1,
  });
  const list: EnvironmentList = {
    connections: rows.slice(0, limit).map((row) => rowToEnvironment(row, context.hub.presence(row.id), context.podId)),
    hasNextPage: rows.length > limit,
  };
  return jsonResponse(200, list);
}

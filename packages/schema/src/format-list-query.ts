import type { ListEnvironmentsQuery, ListEnvironmentsWireQuery } from "./list-query.ts";

/** Values to wire strings; absent members stay absent. */
export function formatListQuery(query: ListEnvironmentsQuery): ListEnvironmentsWireQuery {
  return {
    ...(query.after !== undefined && { after: query.after }),
    ...(query.limit !== undefined && { limit: String(query.limit) }),
    ...(query.onlineOnly !== undefined && { onlineOnly: String(query.onlineOnly) }),
    ...(query.source !== undefined && { source: query.source }),
    ...(query.userId !== undefined && { userId: query.userId }),
  };
}

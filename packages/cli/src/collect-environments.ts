import type { EnvironmentList, ListEnvironmentsInput } from "@letta-environments/client";
import { CommandError } from "./command-error.ts";
import type { EnvironmentOperations } from "./environment-operations.ts";
import { exitCodes } from "./exit-code.ts";

const maxPageSize = 100;

/** Follows pages until there are `limit` rows (`null`: until there are no more). Rejects when a server repeats itself. */
export async function collectEnvironments(
  operations: Pick<EnvironmentOperations, "list">,
  query: ListEnvironmentsInput,
  limit: number | null,
): Promise<EnvironmentList> {
  const rows: EnvironmentList["connections"] = [];
  const cursors = new Set<string>();
  for (let after: string | undefined; ;) {
    const pageSize = limit === null ? maxPageSize : Math.min(maxPageSize, limit - rows.length);
    const page = await operations.list({ ...query, limit: pageSize, ...(after !== undefined && { after }) });
    rows.push(...page.connections);
    if (limit !== null && rows.length >= limit) {
      return { connections: rows.slice(0, limit), hasNextPage: page.hasNextPage || rows.length > limit };
    }
    if (!page.hasNextPage) return { connections: rows, hasNextPage: false };
    const next = page.connections.at(-1)?.id;
    if (next === undefined || cursors.has(next)) {
      throw new CommandError(exitCodes.failed, "the server says that there are more devices, and does not give them");
    }
    cursors.add(next);
    after = next;
  }
}

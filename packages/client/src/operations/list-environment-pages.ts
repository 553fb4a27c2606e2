import type { EnvironmentList } from "@letta-environments/schema";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import { listEnvironments, type ListEnvironmentsInput } from "./list-environments.ts";

/** Lists environments page by page, asking for a page when it is wanted. Throws a `LettaEnvironmentsError`. */
export async function* listEnvironmentPages(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
): AsyncGenerator<EnvironmentList, void, undefined> {
  let after = query?.after;
  for (;;) {
    const page = await listEnvironments(transport, { ...query, after }, options);
    yield page;
    const last = page.connections.at(-1)?.id;
    // A server that gives the same page again would hold the caller forever.
    if (!page.hasNextPage || last === undefined || last === after) return;
    after = last;
  }
}

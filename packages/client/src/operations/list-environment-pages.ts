import type { EnvironmentList } from "@letta-environments/schema";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { ListEnvironmentsInput } from "./list-environments.ts";
import { readPages } from "./read-pages.ts";

/** Lists environments page by page, asking for a page when it is wanted. Throws a `LettaEnvironmentsError`. */
export async function* listEnvironmentPages(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
): AsyncGenerator<EnvironmentList, void, undefined> {
  for await (const { data } of readPages(transport, query, options)) yield data;
}

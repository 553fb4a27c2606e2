import type { Environment } from "@letta-environments/schema";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { ListEnvironmentsInput } from "./list-environments.ts";
import { readPages } from "./read-pages.ts";

/** Lists environments one by one, over all pages. Throws a `LettaEnvironmentsError`. */
export async function* listAllEnvironments(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
): AsyncGenerator<Environment, void, undefined> {
  for await (const { data } of readPages(transport, query, options)) yield* data.connections;
}

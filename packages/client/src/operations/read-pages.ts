import type { EnvironmentList } from "@letta-environments/schema";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { TransportRequest, TransportResponse } from "../transport-request.ts";
import { listRequest, type ListEnvironmentsInput } from "./list-environments.ts";

/** Pages that are known, each with the header field that asks for it anew, by the `after` that asks for them. */
export type KnownPages = Map<
  string | undefined,
  Required<Pick<TransportRequest<EnvironmentList>, "known" | "headers">>
>;

/**
 * Reads page by page, each when it is wanted, and as large as the API allows unless the query says otherwise. Throws a `LettaEnvironmentsError`.
 * @param known Pages of an earlier pass, which are given again where the server says that they have not changed.
 * @param found Is given the pages of this pass.
 */
export async function* readPages(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
  known?: KnownPages,
  found?: KnownPages,
): AsyncGenerator<TransportResponse<EnvironmentList>, void, undefined> {
  let after = query?.after;
  for (;;) {
    const page = await transport.send(
      { ...listRequest({ limit: 100, ...query, after }), ...known?.get(after) },
      options,
    );
    const { data, response } = page;
    const etag = response.headers.get("etag");
    if (etag) found?.set(after, { known: data, headers: { "if-none-match": etag } });
    yield page;
    const last = data.connections.at(-1)?.id;
    // A server that gives the same page again would hold the caller forever.
    if (!data.hasNextPage || last === undefined || last === after) return;
    after = last;
  }
}

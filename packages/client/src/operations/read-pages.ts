import type { EnvironmentList } from "@letta-environments/schema";
import { serverTimeMs } from "../server-time.ts";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { TransportRequest } from "../transport-request.ts";
import { fetchPage, type ListEnvironmentsInput } from "./list-environments.ts";

/** A page that is known already. */
export type KnownPage = NonNullable<TransportRequest<EnvironmentList>["known"]>;

/** Such pages by the `after` that asks for them. */
export type KnownPages = ReadonlyMap<string | undefined, KnownPage>;

/** A page, and what was known of the list when it was read. */
export interface ReadPage {
  readonly after: string | undefined;
  readonly data: EnvironmentList;
  readonly etag: string | undefined;
  /** See {@link serverTimeMs}. */
  readonly nowMs: number;
}

/** Reads page by page, each when it is wanted. Throws a `LettaEnvironmentsError`. */
export async function* readPages(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
  known?: KnownPages,
): AsyncGenerator<ReadPage, void, undefined> {
  let after = query?.after;
  for (;;) {
    const { data, response } = await fetchPage(transport, { ...query, after }, options, known?.get(after));
    yield {
      after,
      data,
      etag: response.headers.get("etag") ?? undefined,
      nowMs: serverTimeMs(transport.clock, response),
    };
    const last = data.connections.at(-1)?.id;
    // A server that gives the same page again would hold the caller forever.
    if (!data.hasNextPage || last === undefined || last === after) return;
    after = last;
  }
}

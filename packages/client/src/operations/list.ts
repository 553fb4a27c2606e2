/** Lists environments: one page, page by page, or row by row over all pages. */
import type { Environment, EnvironmentList, EnvironmentSource } from "@letta-environments/schema";
import { findEnvironmentListMismatch } from "@letta-environments/schema/guards";
import { isIdentifier } from "@letta-environments/schema/identifier";
import { abortable } from "../abortable.ts";
import { checkRecord } from "../check.ts";
import type { RequestOptions } from "../options.ts";
import { encodeQuery } from "../query.ts";
import { type PendingCall, pendingCall, type TransportRequest, type TransportResponse } from "../request.ts";
import { checkNext } from "../response.ts";
import type { Transport } from "../transport.ts";

/** Which environments to list. Numbers and booleans may also be strings, as in the official SDK. */
export interface ListEnvironmentsInput {
  /** `id` of the last row already seen. */
  readonly after?: string | undefined;
  /** Rows per page, 1 to 100. The server's default is 50. */
  readonly limit?: number | string | undefined;
  /** Only devices that can receive messages now. */
  readonly onlineOnly?: boolean | string | undefined;
  readonly source?: EnvironmentSource | undefined;
  readonly userId?: string | undefined;
  /** Only devices that have this tag, or all of these tags. Servers that do not know tags ignore it. */
  readonly tag?: string | readonly string[] | undefined;
}

/**
 * Lists one page of environments. While `hasNextPage` is true, the next page is the one with `after` set to the last row's
 * `id`. Rejects with a `LettaEnvironmentsError`.
 */
export function listEnvironments(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
): PendingCall<EnvironmentList> {
  return pendingCall(async () => transport.send(listRequest(query), options));
}

/** Lists environments page by page; each page is requested when the iteration needs it. Throws a `LettaEnvironmentsError`. */
export function listEnvironmentPages(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options: RequestOptions = {},
): AsyncGenerator<EnvironmentList, void, undefined> {
  return abortable(options, async function* (ended) {
    for await (const { data } of readPages(transport, query, ended)) yield data;
  });
}

/** Lists environments row by row over all pages. Throws a `LettaEnvironmentsError`. */
export function listAllEnvironments(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options: RequestOptions = {},
): AsyncGenerator<Environment, void, undefined> {
  return abortable(options, async function* (ended) {
    for await (const { data } of readPages(transport, query, ended)) for (const row of data.connections) yield row;
  });
}

/** Pages that the caller already has, by the `after` that requests them, each with the header that revalidates it. */
export type KnownPages = Map<
  string | undefined,
  Required<Pick<TransportRequest<EnvironmentList>, "known" | "headers">>
>;

/**
 * Reads page by page, of 100 rows unless the query has a limit. Throws a `LettaEnvironmentsError`.
 *
 * @param known Pages of an earlier pass, returned again if the server responds that they have not changed.
 * @param found Receives the pages of this pass that have an entity tag.
 */
export async function* readPages(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
  known?: KnownPages,
  found?: KnownPages,
): AsyncGenerator<TransportResponse<EnvironmentList>, void, undefined> {
  // Checked before it is spread, which would turn a string into members.
  checkRecord("query", query ?? {});
  const seen = new Set<string | undefined>();
  const { limit = 100, ...rest } = query ?? {};
  let { after } = rest;
  for (;;) {
    seen.add(after);
    const request = { ...listRequest({ limit, ...rest, after }), ...known?.get(after) };
    const page = await transport.send(request, options);
    const { data, response } = page;
    const etag = response.headers.get("etag");
    if (etag) found?.set(after, { known: data, headers: { "if-none-match": etag } });
    const last = data.connections.at(-1)?.id;
    checkNext(data.hasNextPage, "connections", isIdentifier(last), page);
    yield page;
    // A server whose pages lead back to an earlier one would keep the iteration running forever.
    if (!data.hasNextPage || seen.has(last)) return;
    after = last;
  }
}

/** @throws LettaEnvironmentsError `invalid_argument` naming a member of the query. */
function listRequest(query?: ListEnvironmentsInput | null): TransportRequest<EnvironmentList> {
  return {
    operation: "listEnvironments",
    path: `/v1/environments${encodeQuery(query)}`,
    safety: "read",
    findMismatch: findEnvironmentListMismatch,
    needed: { connections: [{ id: "" }], hasNextPage: true },
  };
}

import {
  endpoints,
  maxListLimit,
  type PlainHeaders,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import type { UpstreamRequest } from "../ports.ts";
import { readRequest } from "./read-request.ts";
import { readUpstreamList, type UpstreamRow } from "./upstream-row.ts";

/** Pages read for one request at most: with 100 rows a page, 5,000 rows. */
export const maxPages = 50;

/** A page of the upstream's list, or why reading ends here. */
export type EnvironmentPage =
  | { readonly kind: "rows"; readonly rows: readonly UpstreamRow[]; readonly headers: PlainHeaders }
  | {
      readonly kind: "refused";
      readonly response: PlainResponse;
      /** {@link maxPages} were read without a failure. */
      readonly isBound: boolean;
    };

/**
 * Reads the upstream's list page by page, from the query's own cursor on, until it ends, an answer cannot be used, or
 * {@link maxPages} are read.
 */
export async function* readEnvironmentPages(
  request: UpstreamRequest,
  query: string,
  readPage: (page: UpstreamRequest) => Promise<PlainResponse>,
): AsyncGenerator<EnvironmentPage, void> {
  const parameters = new URLSearchParams(query);
  parameters.set("limit", String(maxListLimit));
  for (let count = 0; count < maxPages; count++) {
    const response = await readPage(readRequest(request, endpoints.listEnvironments, {}, parameters.toString()));
    if (response.status !== endpoints.listEnvironments.successStatus)
      return yield { kind: "refused", response, isBound: false };
    const list = readUpstreamList(response.body);
    if (list === null)
      return yield { kind: "refused", response: problemResponse("upstream_invalid_response"), isBound: false };
    const { connections, hasNextPage } = list;
    yield { kind: "rows", rows: connections, headers: response.headers };
    const last = connections.at(-1);
    if (!hasNextPage || last === undefined) return;
    parameters.set("after", last.id);
  }
  const detail = `The upstream lists more rows than are searched for one request (${maxPages * maxListLimit}).`;
  yield { kind: "refused", response: problemResponse("upstream_response_too_large", { detail }), isBound: true };
}

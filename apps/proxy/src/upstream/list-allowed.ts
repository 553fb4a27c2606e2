import {
  allowsDevice,
  defaultListLimit,
  jsonResponse,
  type ListEnvironmentsQuery,
  type PlainHeaders,
  type PlainResponse,
  presentEnvironment,
} from "@letta-environments/schema";
import type { UpstreamRequest } from "../ports.ts";
import { readEnvironmentPages } from "./read-environment-pages.ts";
import { deduplicationField } from "./upstream-limit-fields.ts";
import type { UpstreamRow } from "./upstream-row.ts";

/** A page of the rows that the principal may see, filled from as many pages of the upstream as it takes. */
export async function listAllowed(
  request: UpstreamRequest,
  query: ListEnvironmentsQuery,
  readPage: (page: UpstreamRequest) => Promise<PlainResponse>,
): Promise<PlainResponse> {
  const { principal } = request;
  const limit = query.limit ?? defaultListLimit;
  const found: UpstreamRow[] = [];
  let headers: PlainHeaders = {};
  const respond = (hasNextPage: boolean): PlainResponse => {
    const connections = found.slice(0, limit).map((row) => presentEnvironment(principal, row));
    return jsonResponse(200, { connections, hasNextPage }, headers);
  };
  for await (const page of readEnvironmentPages(request, request.query, readPage)) {
    // Past the bound, what was found is a page that can be continued; nothing found cannot be told from nothing there.
    if (page.kind === "refused") return page.isBound && found.length > 0 ? respond(true) : page.response;
    headers = deduplicationField(page.headers);
    found.push(...page.rows.filter((row) => allowsDevice(principal, row)));
    if (found.length > limit) return respond(true);
  }
  return respond(false);
}

import {
  defaultListLimit,
  endpoints,
  type Endpoint,
  type Environment,
  jsonResponse,
  type ListEnvironmentsQuery,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import { mayUseDevice } from "../auth/authorise.ts";
import type { UpstreamRequest } from "../ports.ts";
import type { ProxyConfig } from "../proxy-config.ts";
import type { Forward } from "./forward.ts";
import { readEnvironmentPages } from "./read-environment-pages.ts";
import type { Deadline } from "./run-with-deadline.ts";

/** What the request meant, for the decisions that need more than its bytes. */
export interface RequestMeaning {
  readonly params: Readonly<Record<string, string>>;
  /** Decoded query; `null` when the endpoint takes none. */
  readonly queryValues: unknown;
}

/** {@link Forward} for any key, with or without a device allowlist. */
export type ForwardWithinAllowlist = (
  endpoint: Endpoint,
  request: UpstreamRequest,
  deadline: Deadline,
  meaning: RequestMeaning,
) => Promise<PlainResponse>;

/**
 * Holds a key to its devices in front of a server that knows nothing of them: its list is filtered, and a connection is
 * looked up in the list before anything is sent to it. The embedded server does this itself, by the principal.
 */
export function createForwardWithinAllowlist(forward: Forward, config: ProxyConfig): ForwardWithinAllowlist {
  return async (endpoint, request, deadline, meaning) => {
    if (config.upstream.kind === "embedded" || request.principal.deviceIds === null) {
      return forward(endpoint, request, deadline);
    }
    const readPage = (page: UpstreamRequest): Promise<PlainResponse> =>
      forward(endpoints.listEnvironments, page, deadline);
    const isAllowed = (row: Environment): boolean => mayUseDevice(request.principal, row.deviceId);
    if (endpoint.operation === "listEnvironments") {
      // The endpoint's own schema has decoded it.
      return listAllowed(request, meaning.queryValues as ListEnvironmentsQuery, isAllowed, readPage);
    }
    if (endpoint.operation === "sendMessage") {
      const { connectionId } = meaning.params;
      const refusal = await requireRow(request, (row) => row.connectionId === connectionId && isAllowed(row), readPage);
      if (refusal !== null) return refusal;
    }
    return forward(endpoint, request, deadline);
  };
}

type ReadPage = (page: UpstreamRequest) => Promise<PlainResponse>;

/** A page of rows the key may see, filled from as many pages of the upstream as it takes. */
async function listAllowed(
  request: UpstreamRequest,
  query: ListEnvironmentsQuery,
  isAllowed: (row: Environment) => boolean,
  readPage: ReadPage,
): Promise<PlainResponse> {
  const limit = query.limit ?? defaultListLimit;
  const found: Environment[] = [];
  for await (const page of readEnvironmentPages(request, request.query, readPage)) {
    // Past the bound, what was found is a page that can be continued; nothing found cannot be told from nothing there.
    if (page.kind === "refused") return page.isBound && found.length > 0 ? listResponse(found, true) : page.response;
    found.push(...page.rows.filter(isAllowed));
    if (found.length > limit) return listResponse(found.slice(0, limit), true);
  }
  return listResponse(found, false);
}

/** Looks for a row; `null` when it is there, else the refusal. */
async function requireRow(
  request: UpstreamRequest,
  isWanted: (row: Environment) => boolean,
  readPage: ReadPage,
): Promise<PlainResponse | null> {
  for await (const page of readEnvironmentPages(request, "", readPage)) {
    if (page.kind === "refused") return page.response;
    if (page.rows.some(isWanted)) return null;
  }
  return problemResponse("connection_not_found");
}

function listResponse(connections: readonly Environment[], hasNextPage: boolean): PlainResponse {
  return jsonResponse(200, { connections, hasNextPage });
}

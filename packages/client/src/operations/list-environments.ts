import {
  buildPath,
  checkValue,
  endpoints,
  type EnvironmentList,
  type EnvironmentSource,
  ListEnvironmentsQuerySchema,
} from "@letta-environments/schema";
import { invalidArgument } from "../error.ts";
import type { RequestOptions } from "../settings.ts";
import type { Transport } from "../transport.ts";
import type { TransportRequest } from "../transport-request.ts";
import { readAnswer } from "./read-answer.ts";

/** What to list. Numbers and booleans may also be given as the strings that the official SDK takes. */
export interface ListEnvironmentsInput {
  /** `id` of the last row already seen. */
  readonly after?: string | undefined;
  /** Rows a page, 1 to 100; the server's default is 50. */
  readonly limit?: number | string | undefined;
  /** Only devices that can be messaged now. */
  readonly onlineOnly?: boolean | string | undefined;
  readonly source?: EnvironmentSource | undefined;
  readonly userId?: string | undefined;
}

/**
 * Lists environments, one page at a time: while `hasNextPage`, ask again with `after` set to the last row's `id`.
 * Rejects with a `LettaEnvironmentsError`.
 */
export async function listEnvironments(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
): Promise<EnvironmentList> {
  const endpoint = endpoints.listEnvironments;
  const request: TransportRequest = {
    method: endpoint.method,
    path: buildPath(endpoint),
    query: wireQuery(query ?? {}),
    body: null,
    repeatSafety: "read",
    clientMessageIds: [],
  };
  return readAnswer(endpoint, request, await transport.send(request, options));
}

function wireQuery(query: ListEnvironmentsInput): Record<string, string> {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const wire = Object.fromEntries(given.map(([name, value]) => [name, String(value)]));
  const checked = checkValue(ListEnvironmentsQuerySchema, wire, "query");
  if (!checked.ok) throw invalidArgument(checked.issues);
  return wire;
}

import type { EnvironmentList, EnvironmentSource } from "@letta-environments/schema";
import { invalidArgument } from "../error.ts";
import { isRecord } from "../is-record.ts";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import { findEnvironmentListMismatch } from "@letta-environments/schema/guards";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { TransportRequest, TransportResponse } from "../transport-request.ts";

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
export function listEnvironments(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
): PendingCall<EnvironmentList> {
  return pendingCall(fetchPage(transport, query, options));
}

/** One page with its response. @param known An earlier answer with its entity tag, given again when nothing has changed. */
export async function fetchPage(
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
  known?: TransportRequest<EnvironmentList>["known"],
): Promise<TransportResponse<EnvironmentList>> {
  return transport.send(
    {
      operation: "listEnvironments",
      method: "GET",
      path: `/v1/environments${formatQuery(query ?? {})}`,
      repeatSafety: "read",
      isUsable,
      findMismatch: findEnvironmentListMismatch,
      known,
      headers: known && { "if-none-match": known.etag },
    },
    options,
  );
}

function isUsable(value: unknown): value is EnvironmentList {
  return isRecord(value) && Array.isArray(value["connections"]) && value["connections"].every(isRecord);
}

const rules: Readonly<Record<string, RegExp>> = {
  after: /^[\w.~:-]{1,128}$/,
  limit: /^([1-9]\d?|100)$/,
  onlineOnly: /^(true|false)$/,
  source: /^(local|remote)$/,
  userId: /^[^]{1,256}$/,
};

/** The query as it stands in a URL. @throws LettaEnvironmentsError `invalid_argument` naming the member. */
function formatQuery(query: ListEnvironmentsInput): string {
  const wire = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined) continue;
    // An object is no text, though it can be made one.
    if (value === Object(value) || rules[name]?.test(String(value)) === false)
      throw invalidArgument(name, `must match ${rules[name]}`);
    wire.set(name, String(value));
  }
  // Percent encoding for spaces, as the official SDKs do: a plus sign is not a space in every server.
  return wire.size > 0 ? `?${wire}`.replaceAll("+", "%20") : "";
}

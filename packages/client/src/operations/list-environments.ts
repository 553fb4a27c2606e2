import type { EnvironmentList, EnvironmentSource } from "@letta-environments/schema";
import { checkValue } from "../check-value.ts";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import { findEnvironmentListMismatch, isEach, isRecord } from "@letta-environments/schema/guards";
import type { Transport } from "../transport.ts";
import type { RequestOptions } from "../transport-options.ts";
import type { TransportRequest } from "../transport-request.ts";

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
  return pendingCall(async () => transport.send(listRequest(query), options));
}

/** The request for one page. @throws LettaEnvironmentsError `invalid_argument` naming a member of the query. */
export function listRequest(query?: ListEnvironmentsInput | null): TransportRequest<EnvironmentList> {
  return {
    operation: "listEnvironments",
    path: `/v1/environments${formatQuery(query)}`,
    safety: "read",
    isUsable: (value): value is EnvironmentList => isRecord(value) && isEach(value["connections"], isRecord),
    findMismatch: findEnvironmentListMismatch,
  };
}

const rules: Readonly<Record<string, RegExp>> = {
  after: /^"[\w.~:-]{1,128}"$/,
  limit: /^"?([1-9]\d?|100)"?$/,
  onlineOnly: /^"?(true|false)"?$/,
  source: /^"(local|remote)"$/,
  userId: /^".{1,256}"$/,
};

function formatQuery(query?: ListEnvironmentsInput | null): string {
  const wire = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query }))
    // A member that this package does not know is left to the server.
    if (value !== undefined) wire.set(name, checkValue(name, value, rules[name] ?? /^/) as string);
  // Percent encoding for spaces, as the official SDKs do: a plus sign is not a space in every server.
  return wire.size > 0 ? `?${wire}`.replaceAll("+", "%20") : "";
}

import type { EnvironmentList, EnvironmentSource } from "@letta-environments/schema";
import { checkValue } from "../check-value.ts";
import { identifierPattern } from "../identifier-pattern.ts";
import { type PendingCall, pendingCall } from "../pending-call.ts";
import { findEnvironmentListMismatch } from "@letta-environments/schema/guards";
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
export const listEnvironments = (
  transport: Transport,
  query?: ListEnvironmentsInput | null,
  options?: RequestOptions,
): PendingCall<EnvironmentList> => pendingCall(async () => transport.send(listRequest(query), options));

/** The request for one page. @throws LettaEnvironmentsError `invalid_argument` naming a member of the query. */
export const listRequest = (query?: ListEnvironmentsInput | null): TransportRequest<EnvironmentList> => {
  const wire = new URLSearchParams();
  const members = query as Readonly<Record<string, string | undefined>>;
  for (const name in members)
    // A text is left to the server, also one that this package does not know.
    if (members[name] !== undefined) wire.set(name, checkValue(name, members[name], rules[name] ?? /^"[^]/));
  return {
    operation: "listEnvironments",
    path: `/v1/environments${wire.size > 0 ? `?${wire}` : ""}`,
    safety: "read",
    findMismatch: findEnvironmentListMismatch,
  };
};

const rules: Readonly<Record<string, RegExp>> = {
  after: identifierPattern,
  limit: /^"?([1-9]\d?|100)$/,
  onlineOnly: /^"?(true|false)$/,
  source: /^"(local|remote)$/,
  // The first of a text or of a list in the place of a query: nothing fits.
  0: /^$/,
};

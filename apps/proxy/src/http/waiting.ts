/** Requests that are ready to wait for the end of a turn. Their calls may take as much longer as they wait. */
import {
  type DecodedRequest,
  defaultWaitSeconds,
  preferHeader,
  type RetrieveMessageQuery,
  readPreferredWait,
} from "@letta-environments/schema";
import type { GatewayRequest } from "./gateway-request.ts";

/** Returns for how many seconds a request is ready to wait: a send by `Prefer`, a message by its query; `null` for any other. */
export function waitSecondsOf(
  operation: DecodedRequest["operation"],
  query: unknown,
  request: Pick<GatewayRequest, "header">,
): number | null {
  if (operation === "sendMessage") return readPreferredWait(request.header(preferHeader));
  if (operation !== "retrieveMessage") return null;
  // The endpoint's own schema has decoded it.
  const { wait, waitSeconds = defaultWaitSeconds } = query as RetrieveMessageQuery;
  return wait === undefined ? null : waitSeconds;
}

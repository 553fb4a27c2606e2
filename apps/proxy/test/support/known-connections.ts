import { endpoints, jsonResponse } from "@letta-environments/schema";
import type { UpstreamFetch } from "../../src/ports.ts";
import { environmentRow } from "./environment-row.ts";

/** An upstream that shows these connections where the gateway looks one up before a send, and is another one for the rest. */
export function knownConnections(
  upstream: UpstreamFetch,
  connectionIds: readonly string[] = ["c", "conn-1"],
): UpstreamFetch {
  const connections = connectionIds.map((connectionId) => environmentRow(connectionId, { connectionId }));
  return (request, signal) =>
    request.path === endpoints.listEnvironments.path && request.query === "limit=100"
      ? Promise.resolve(jsonResponse(200, { connections, hasNextPage: false }))
      : upstream(request, signal);
}

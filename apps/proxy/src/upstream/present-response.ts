import { type PlainResponse, presentEnvironment, type Principal, problemResponse } from "@letta-environments/schema";
import { readUpstreamList, readUpstreamRow } from "./upstream-row.ts";

/** A foreign server's answer to a list as the principal may see it; as it came when nothing of it is hidden. */
export function presentListResponse(principal: Principal, response: PlainResponse): PlainResponse {
  if (response.status !== 200 || principal.scopes.has("details")) return response;
  const list = readUpstreamList(response.body);
  if (list === null) return problemResponse("upstream_invalid_response");
  const connections = list.connections.map((row) => presentEnvironment(principal, row));
  if (connections.every((row, index) => row === list.connections[index])) return response;
  return withBody(response, { ...list, connections });
}

/** A foreign server's answer to a read as the principal may see it; as it came when nothing of it is hidden. */
export function presentRowResponse(principal: Principal, response: PlainResponse): PlainResponse {
  if (response.status !== 200 || principal.scopes.has("details")) return response;
  const row = readUpstreamRow(response.body);
  if (row === null) return problemResponse("upstream_invalid_response");
  const presented = presentEnvironment(principal, row);
  return presented === row ? response : withBody(response, presented);
}

function withBody(response: PlainResponse, value: unknown): PlainResponse {
  return { ...response, body: JSON.stringify(value) };
}

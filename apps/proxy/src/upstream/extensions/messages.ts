/**
 * The messages of a device behind a remote server. The connection, or the device while it is offline, must be a row of the tenant's list that the
 * principal may use. The server selects the messages of the agents that the principal may use: a cursor names the last message that was examined, so
 * a page with messages of other agents would reveal them even without its rows. The gateway removes the texts that the principal may not see.
 */
import {
  allowsAgent,
  allowsDevice,
  endpoints,
  jsonResponse,
  type DecodedListMessagesQuery,
  maxListedAgents,
  type MessageList,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { isJsonObject, parseJsonObject } from "../../lib/json.ts";
import type { UpstreamRequest } from "../../ports.ts";
import { type ConnectionLookup, type LookupReads, maxRowAgeMs } from "../connections.ts";
import { type DeviceRead, readDevice } from "../environments.ts";
import type { ExtensionCall, RemoteTools } from "../remote.ts";
import { refuseContent } from "../validate-response.ts";

/** Lists messages and returns the response for the caller. */
export async function listRemoteMessages(
  { connections, callRemote }: RemoteTools,
  { params: { connectionId }, query }: OperationInput<"listMessages">,
  { call, request, readUntil }: ExtensionCall,
): Promise<PlainResponse> {
  const { principal, endpoint, deadline } = call;
  const found = await findDevice(connections, principal, connectionId, { deadline, readUntil });
  if (found.kind === "refused") return found.response;
  if (found.row === null || !allowsDevice(principal, found.row)) return problemResponse("connection_not_found");
  const agentIds = permittedAgents(principal, query);
  if (agentIds?.length === 0) return nothingPermitted;
  if (agentIds !== null && agentIds.length > maxListedAgents) return tooManyAgents;
  const { response } = await callRemote(endpoint, selectAgents(request, agentIds), deadline);
  return presentMessages(principal, query, response);
}

/** Returns the agents whose messages are listed; `null` for a principal that may use every agent, whose query is passed on unchanged. */
function permittedAgents(principal: Principal, { agentId }: DecodedListMessagesQuery): readonly string[] | null {
  if (principal.agentIds === null || agentId === undefined) return principal.agentIds;
  return agentId.filter((each) => allowsAgent(principal, each));
}

function selectAgents(request: UpstreamRequest, agentIds: readonly string[] | null): UpstreamRequest {
  if (agentIds === null) return request;
  const query = new URLSearchParams(request.query);
  query.delete("agentId");
  for (const agentId of agentIds) query.append("agentId", agentId);
  return { ...request, query: query.toString() };
}

async function findDevice(
  connections: ConnectionLookup,
  principal: Principal,
  connectionId: string,
  reads: LookupReads,
): Promise<DeviceRead> {
  const found = await connections.find(principal, connectionId, reads, maxRowAgeMs);
  if (found.kind === "found") return { kind: "read", row: found.row };
  if (found.response.status !== 404) return found;
  return readDevice(connectionId, reads.readUntil(reads.deadline));
}

/** Returns the response for the caller, without the texts that the principal may not see. */
function presentMessages(
  principal: Principal,
  { include }: DecodedListMessagesQuery,
  response: PlainResponse,
): PlainResponse {
  if (response.status !== endpoints.listMessages.successStatus) return response;
  const mayReadTexts = include === "text" && principal.scopes.has("view");
  const list = parseJsonObject(response.body);
  const messages = list?.["messages"];
  if (!Array.isArray(messages) || !messages.every(isMessage)) return refuseContent();
  if (!messages.every(({ agentId }) => allowsAgent(principal, agentId ?? undefined))) return unselected;
  if (mayReadTexts) return response;
  const shown = messages.map(({ text: _text, textTruncated: _textTruncated, ...message }) => message);
  return jsonResponse(response.status, { ...list, messages: shown });
}

interface UpstreamMessage {
  readonly [member: string]: unknown;
  readonly agentId: string | null;
}

function isMessage(value: unknown): value is UpstreamMessage {
  return isJsonObject(value) && (value["agentId"] === null || typeof value["agentId"] === "string");
}

/** As the embedded server responds to a principal that may use none of the agents. */
const nothingPermitted = jsonResponse(200, { messages: [], hasNextPage: false, cursor: null } satisfies MessageList);

const tooManyAgents = problemResponse("invalid_request", {
  issues: [
    { member: "agentId", rule: `must be given, because the gateway key has more than ${maxListedAgents} agents` },
  ],
});

/** The cursor of such a page may name a message of another agent. */
const unselected = refuseContent(undefined, {
  detail: "The upstream returned messages of agents that were not requested.",
});

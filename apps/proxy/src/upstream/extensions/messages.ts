/**
 * The messages of a device behind a remote server. The connection, or the device while it is offline, must be a row of the tenant's list that
 * the principal may use. The gateway removes the messages of agents that the principal may not use, so a page may get shorter, and the texts that
 * it may not see.
 */
import {
  allowsAgent,
  allowsDevice,
  endpoints,
  jsonResponse,
  type ListMessagesQuery,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { isJsonObject, parseJsonObject } from "../../lib/json.ts";
import type { UpstreamRequest } from "../../ports.ts";
import { type ConnectionLookup, type LookupReads, maxRowAgeMs } from "../connections.ts";
import { readDevice, type UpstreamRow } from "../environments.ts";
import { type CallRemote, isUnknownOperation } from "../remote-call.ts";
import type { UpstreamCall } from "../upstream.ts";

/** A list of messages, as it is requested from the remote server. */
export interface RemoteMessages {
  readonly call: UpstreamCall;
  readonly connectionId: string;
  readonly query: ListMessagesQuery;
  readonly request: UpstreamRequest;
  readonly reads: LookupReads;
}

/** Lists messages and returns the response for the caller. */
export type ListRemoteMessages = (messages: RemoteMessages) => Promise<PlainResponse>;

/** Creates a {@link ListRemoteMessages}. */
export function createListRemoteMessages({
  connections,
  callRemote,
}: {
  readonly connections: ConnectionLookup;
  readonly callRemote: CallRemote;
}): ListRemoteMessages {
  return async ({ call, connectionId, query, request, reads }) => {
    const { principal, endpoint, deadline } = call;
    const found = await findDevice(connections, principal, connectionId, reads);
    if (found.kind === "refused") return found.response;
    if (found.row === null || !allowsDevice(principal, found.row)) return problemResponse("connection_not_found");
    const { response } = await callRemote(endpoint, request, deadline);
    // The gateway has just found the device, so a 404 is about the operation.
    if (isUnknownOperation(response)) return unknownOperation;
    return presentMessages(principal, query, response);
  };
}

type FoundDevice =
  | { readonly kind: "refused"; readonly response: PlainResponse }
  | { readonly kind: "read"; readonly row: UpstreamRow | null };

async function findDevice(
  connections: ConnectionLookup,
  principal: Principal,
  connectionId: string,
  reads: LookupReads,
): Promise<FoundDevice> {
  const found = await connections.find(principal, connectionId, reads, maxRowAgeMs);
  if (found.kind === "found") return { kind: "read", row: found.row };
  if (found.response.status !== 404) return found;
  const device = await readDevice(connectionId, reads.readUntil(reads.deadline));
  return device.kind === "refused" ? device : { kind: "read", row: device.row };
}

/** Returns the response for the caller. Exported for its test. */
export function presentMessages(
  principal: Principal,
  { include }: ListMessagesQuery,
  response: PlainResponse,
): PlainResponse {
  if (response.status !== endpoints.listMessages.successStatus) return response;
  const mayReadTexts = include === "text" && principal.scopes.has("view");
  if (mayReadTexts && principal.agentIds === null) return response;
  const list = parseJsonObject(response.body);
  const messages = list?.["messages"];
  if (!Array.isArray(messages) || !messages.every(isMessage)) return problemResponse("upstream_invalid_response");
  const kept = messages
    .filter(({ agentId }) => allowsAgent(principal, agentId ?? undefined))
    .map(({ text, textTruncated, ...message }) =>
      mayReadTexts && text !== undefined ? { ...message, text, textTruncated } : message,
    );
  return jsonResponse(response.status, { ...list, messages: kept });
}

interface UpstreamMessage {
  readonly [member: string]: unknown;
  readonly agentId: string | null;
}

function isMessage(value: unknown): value is UpstreamMessage {
  return isJsonObject(value) && (value["agentId"] === null || typeof value["agentId"] === "string");
}

const unknownOperation = problemResponse("endpoint_not_found", {
  detail: "The environment server behind this gateway does not have this operation.",
});

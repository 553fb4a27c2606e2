/**
 * The status of a message sent to a remote server, from the gateway's own log of sends. The server is asked only for the device behind a connection
 * through which nothing was sent. The device has accepted or rejected the message; the outcome of its turn is not known here, so there is nothing to
 * wait for.
 */
import {
  allowsAgent,
  allowsDevice,
  defaultConversationId,
  jsonResponse,
  type MessageStatus,
  type OperationInput,
  type PlainResponse,
  problemResponse,
  refused,
  type Refused,
  waitApplied,
} from "@letta-environments/schema";
import { errorCodeOf } from "../../http/response.ts";
import type { KnownConnection, KnownEntry, SendResult } from "../../idempotency/store.ts";
import { maxRowAgeMs } from "../connections.ts";
import type { ExtensionCall, RemoteTools } from "../remote.ts";
import { toKnownConnection } from "../remote-send.ts";

/**
 * Returns the status of a message that was sent through the gateway in the last 24 hours. The log is ordered by conversation, so the
 * request has to name the agent if the conversation has one. Connections, devices and agents that the principal may not use look like
 * unknown messages.
 */
export async function retrieveLoggedMessage(
  tools: RemoteTools,
  { params, query }: OperationInput<"retrieveMessage">,
  extension: ExtensionCall,
): Promise<PlainResponse> {
  const { principal } = extension.call;
  const { agentId = "", conversationId = defaultConversationId } = query;
  if (!allowsAgent(principal, agentId || undefined)) return notFound(agentId);
  const device = await findDevice(tools, params.connectionId, extension);
  if (device.kind === "refused") return device.response;
  const { connection } = device;
  if (connection === null || !allowsDevice(principal, connection)) return notFound(agentId);
  const scope = { tenant: principal.tenant, environmentId: connection.environmentId, agentId, conversationId };
  const found = await tools.sends.findMessage(scope, params.clientMessageId);
  if (found === null) return unavailable;
  if (found.result === null) return notFound(agentId);
  const status: MessageStatus = {
    clientMessageId: params.clientMessageId,
    deviceId: connection.deviceId,
    agentId: agentId === "" ? null : agentId,
    conversationId,
    ...describeState(found.result.state),
  };
  return query.wait === undefined
    ? jsonResponse(200, status)
    : jsonResponse(200, { ...status, waitSeconds: 0 }, waitApplied(0));
}

/** Finds the device behind a connection: one that sends have used, or one that the device has now; `null`: neither. */
async function findDevice(
  { sends, connections }: RemoteTools,
  connectionId: string,
  { call: { principal, deadline }, readUntil }: ExtensionCall,
): Promise<{ readonly kind: "found"; readonly connection: KnownConnection | null } | Refused> {
  const known = await sends.findConnection(principal.tenant, connectionId);
  if (known === null) return refused(unavailable);
  if (known.result !== null) return { kind: "found", connection: known.result };
  const current = await connections.find(principal, connectionId, { deadline, readUntil }, maxRowAgeMs);
  if (current.kind === "found") return { kind: "found", connection: toKnownConnection(current.row) };
  return errorCodeOf(current.response) === "connection_not_found" ? { kind: "found", connection: null } : current;
}

/** The same response for every reason, so that it reveals none. */
function notFound(agentId: string): PlainResponse {
  return agentId === "" ? withoutAgent : problemResponse("message_not_found");
}

const withoutAgent = problemResponse("message_not_found", {
  detail:
    "No message with this id was sent to this connection without an agent. If it named an agent, add agentId to the query.",
});

const unavailable = problemResponse("idempotency_unavailable", {
  detail: "The gateway cannot read its log of sends, so it does not know whether this message was sent.",
});

function describeState(state: KnownEntry["state"]): Pick<MessageStatus, "state" | "disposition" | "error"> {
  switch (state.kind) {
    case "in_progress":
      return { state: "received" };
    case "unknown":
      return { state: "unknown" };
    case "finished":
      return describeResult(state.result);
  }
}

function describeResult({ status, body }: SendResult): Pick<MessageStatus, "state" | "disposition" | "error"> {
  const { disposition, errorCode, detail, success, message }: Readonly<Record<string, unknown>> =
    JSON.parse(body || "{}") ?? {};
  if (status === 200 && success === false)
    return { state: "failed", ...(typeof message === "string" && { error: message }) };
  if (status === 200) return { state: "accepted", ...(typeof disposition === "string" && { disposition }) };
  // Only a rejection says that the device will not run the message.
  if (errorCode !== "input_rejected") return { state: "unknown" };
  return { state: "failed", ...(typeof detail === "string" && { error: detail }) };
}

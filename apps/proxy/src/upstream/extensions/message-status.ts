/**
 * The status of a message sent to a remote server, from the gateway's own log of sends; the server is not called. The device
 * has accepted or rejected the message; the outcome of its turn is not known here, so there is nothing to wait for.
 */
import {
  allowsAgent,
  allowsDevice,
  defaultConversationId,
  jsonResponse,
  type MessageStatus,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
  waitApplied,
} from "@letta-environments/schema";
import type { Sends } from "../../idempotency/sends.ts";
import type { KnownEntry, SendResult } from "../../idempotency/store.ts";

/**
 * Returns the status of a message that was sent through the gateway in the last 24 hours. The log is ordered by conversation, so the
 * request has to name the agent if the conversation has one. Connections, devices and agents that the principal may not use look like
 * unknown messages.
 */
export async function retrieveLoggedMessage(
  sends: Pick<Sends, "findConnection" | "findMessage">,
  { params, query }: OperationInput<"retrieveMessage">,
  principal: Principal,
): Promise<PlainResponse> {
  const { agentId = "", conversationId = defaultConversationId } = query;
  const known = await sends.findConnection(principal.tenant, params.connectionId);
  if (known === null) return unavailable;
  const connection = known.result;
  const mayRead =
    connection !== null && allowsDevice(principal, connection) && allowsAgent(principal, agentId || undefined);
  if (!mayRead) return notFound(agentId);
  const scope = { tenant: principal.tenant, environmentId: connection.environmentId, agentId, conversationId };
  const found = await sends.findMessage(scope, params.clientMessageId);
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

/** The same response for every reason, so that it reveals none. */
function notFound(agentId: string): PlainResponse {
  return agentId === "" ? withoutAgent : problemResponse("message_not_found");
}

const withoutAgent = problemResponse("message_not_found", {
  detail:
    "No message with this id was sent to this connection without an agent. If it named an agent, add agentId to the query.",
});

const unavailable = problemResponse("idempotency_unavailable");

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
  const { disposition, errorCode, detail }: Readonly<Record<string, unknown>> = JSON.parse(body || "{}") ?? {};
  if (status === 200) return { state: "accepted", ...(typeof disposition === "string" && { disposition }) };
  // Only a rejection says that the device will not run the message.
  if (errorCode !== "input_rejected") return { state: "unknown" };
  return { state: "failed", ...(typeof detail === "string" && { error: detail }) };
}

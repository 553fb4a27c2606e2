/**
 * A send with the preference `wait` (RFC 7240): the ordinary response, when the turn has ended or the time is over, with the member
 * `outcome`. The acknowledgement of the device is awaited in any case. Without the preference nothing changes.
 */
import {
  defaultConversationId,
  isApprovalMessage,
  type MessageStatus,
  type OperationInput,
  type PlainResponse,
  type Principal,
  type UserMessage,
  waitApplied,
} from "@letta-environments/schema";
import type { DeviceCallContext } from "../../routing/router.ts";
import type { ServerContext } from "../context.ts";
import { findPermitted } from "../reach.ts";
import { presentMessage, readMessage, waitForEnd } from "../messages/status.ts";
import { sendMessage } from "./send.ts";

/** Like {@link sendMessage}, and waits for the end of the last message of the body if the caller prefers so. */
export async function sendAndWait(
  server: ServerContext,
  input: OperationInput<"sendMessage">,
  principal: Principal,
  context: DeviceCallContext,
): Promise<PlainResponse> {
  const startedAtMs = server.clock.monotonic();
  const awaited = awaitedOf(input);
  const response = await sendMessage(server, input, principal, context);
  const { waitSeconds = null, onAccepted } = context;
  if (waitSeconds === null || response.status !== 200) return response;
  onAccepted?.();
  const remainingMs = Math.max(0, waitSeconds * 1_000 - (server.clock.monotonic() - startedAtMs));
  try {
    const outcome = await readOutcome(server, awaited, principal, context, remainingMs);
    if (outcome === null) return response;
    const ordinary: object = JSON.parse(String(response.body));
    const headers = { ...response.headers, ...waitApplied(waitSeconds) };
    return { ...response, headers, body: JSON.stringify({ ...ordinary, outcome }) };
  } catch (cause) {
    // The message was delivered, which is what the response reports.
    server.emit({ type: "request_failed", operation: "retrieveMessage", cause });
    return response;
  }
}

/** The message of a send whose end is awaited, without the rest of the body, which may be long. Its id is `undefined` for a body without user messages. */
function awaitedOf({ params: { connectionId }, body }: OperationInput<"sendMessage">) {
  const { agentId = "", conversationId, messages } = body;
  const last = messages.findLast((message): message is UserMessage => !isApprovalMessage(message));
  const messageId = last?.client_message_id;
  return { connectionId, agentId, conversationId: conversationId || defaultConversationId, messageId };
}

/** Waits for the end of a message and returns its status; `null` if nothing is known about it, or its device has left the reach of the principal. */
async function readOutcome(
  server: ServerContext,
  { connectionId, agentId, conversationId, messageId }: ReturnType<typeof awaitedOf>,
  principal: Principal,
  { connection, signal }: DeviceCallContext,
  remainingMs: number,
): Promise<MessageStatus | null> {
  const record = connection ?? (await server.store.findConnection(principal.tenant, connectionId));
  if (messageId === undefined || record === null) return null;
  const scope = { environmentId: record.environment.id, agentId, conversationId };
  const message = await readMessage(server, { scope, messageId });
  if (message === null) return null;
  const latest = await waitForEnd(server, message, remainingMs, signal).catch((cause: unknown) => {
    if (signal?.aborted === true) return message;
    throw cause;
  });
  const device = await findPermitted(server, connectionId, principal);
  return device.kind === "refused" ? null : presentMessage(principal, latest, record.environment.deviceId);
}

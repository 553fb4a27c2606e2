/**
 * The status of a message. While its device is connected, the followed state is shown; otherwise a message that has not ended is
 * unknown, because the device cannot be asked. A message that the principal may not see looks like one that does not exist.
 */
import {
  allowsAgent,
  defaultWaitSeconds,
  hasEnded,
  jsonResponse,
  type MessageStatus,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
  waitApplied,
} from "@letta-environments/schema";
import { conversationKey } from "../../dialects/conversation.ts";
import { maxMessageConversations, maxSameMessages, otherServerReadMs } from "../../limits.ts";
import { isSelected, type MessageFilter, type MessageSelection, type StoredMessage } from "../../message-log.ts";
import { advance } from "../../messages/state-machine.ts";
import { messageOfUse } from "../../messages/unsaved.ts";
import type { DeviceCallContext } from "../../routing/router.ts";
import type { ServerContext } from "../context.ts";
import { findPermitted } from "../reach.ts";

/** Selects the messages with an id. */
type MessageSelector = MessageSelection & Pick<MessageFilter, "environmentId"> & Pick<StoredMessage, "messageId">;

/** Retrieves the status of a message, immediately or when the message has ended. Waiting ends early when the server closes. */
export async function retrieveMessage(
  server: ServerContext,
  { params, query }: OperationInput<"retrieveMessage">,
  principal: Principal,
  { signal }: DeviceCallContext,
): Promise<PlainResponse> {
  const device = await findPermitted(server, params.connectionId, principal);
  if (device.kind === "refused") return problemResponse("message_not_found");
  const { environment } = device.record;
  const selector: MessageSelector = {
    environmentId: environment.id,
    messageId: params.clientMessageId,
    agentIds: query.agentId === undefined ? null : [query.agentId],
    conversationId: query.conversationId ?? null,
  };
  const waitSeconds = query.wait === undefined ? null : (query.waitSeconds ?? defaultWaitSeconds);
  const messages = await readMessages(server, selector);
  const found = messages.filter(({ scope }) => allowsAgent(principal, scope.agentId || undefined));
  if (found.length > 1) return problemResponse("message_ambiguous");
  const [message] = found;
  if (message === undefined) return problemResponse("message_not_found");
  if (waitSeconds === null) return jsonResponse(200, presentMessage(principal, message, environment.deviceId));
  const latest = await waitForEnd(server, message, waitSeconds * 1_000, signal);
  // Its tags or its name may have changed during the wait, or it may have been removed.
  const again = await findPermitted(server, params.connectionId, principal);
  if (again.kind === "refused") return problemResponse("message_not_found");
  const status = presentMessage(principal, latest, environment.deviceId);
  return jsonResponse(200, { ...status, waitSeconds }, waitApplied(waitSeconds));
}

/**
 * Waits until a message has ended, its time is over, or the server closes. Returns the message as it is then.
 *
 * Rejects with the reason of `signal` when it is aborted.
 */
export async function waitForEnd(
  server: ServerContext,
  message: StoredMessage,
  durationMs: number,
  signal: AbortSignal | undefined,
): Promise<StoredMessage> {
  const { clock, hub, messages } = server;
  if (hasEnded(message.status) || durationMs === 0) return message;
  const { scope, messageId } = message;
  await new Promise<void>((resolve) => {
    const cancelTimer = clock.setTimer(durationMs, finish);
    let cancelRead = (): void => undefined;
    const stop = messages.onEnd(scope.environmentId, messageId, check);
    const stopClosing = server.onClose(finish);
    signal?.addEventListener("abort", finish);
    if (signal?.aborted === true) return finish();
    // It may have ended since it was read.
    check();
    if (server.hasOtherServers) checkLater();

    /** The device may have moved to another server, which stores the end. */
    function checkLater(): void {
      cancelRead = clock.setTimer(otherServerReadMs, () => {
        if (hub.connectionOf(scope.environmentId) === null) check();
        checkLater();
      });
    }
    function check(): void {
      void readMessage(server, message).then((found) => {
        if (found === null || hasEnded(found.status)) finish();
      }, finish);
    }
    function finish(): void {
      cancelTimer();
      cancelRead();
      stop();
      stopClosing();
      signal?.removeEventListener("abort", finish);
      resolve();
    }
  });
  signal?.throwIfAborted();
  return (await readMessage(server, message)) ?? message;
}

/** Shows a message as a principal may see it. */
export function presentMessage(
  { scopes }: Pick<Principal, "scopes">,
  { scope, messageId, status, sentAt, updatedAt }: StoredMessage,
  deviceId: string,
): MessageStatus {
  const { state, disposition, stopReason, error, usage, durationMs, reply } = status;
  return {
    clientMessageId: messageId,
    deviceId,
    agentId: scope.agentId === "" ? null : scope.agentId,
    conversationId: scope.conversationId,
    state,
    sentAt,
    updatedAt,
    ...(disposition !== null && { disposition }),
    ...(stopReason !== null && { stopReason }),
    ...(error !== null && { error }),
    ...(durationMs !== null && { durationMs }),
    ...(usage !== null && { usage }),
    ...(reply !== null && scopes.has("view") && { text: reply.text, textTruncated: reply.isTruncated }),
  };
}

/**
 * Reads the messages that a selector names, one for each conversation. If the process was killed, a message of the last second may have no
 * stored status until its device reconnects: the log of deliveries has it.
 */
async function readMessages(server: ServerContext, selector: MessageSelector): Promise<readonly StoredMessage[]> {
  const found = await readFollowed(server, selector);
  if (found.length > 0) return found;
  const { environmentId, messageId } = selector;
  const uses = await server.store.findUses(environmentId, messageId, server.time.now(), maxMessageConversations);
  return uses.map((use) => messageOfUse(use, server.time)).filter((message) => isSelected(message, selector));
}

async function readFollowed(context: ServerContext, selector: MessageSelector): Promise<readonly StoredMessage[]> {
  const { environmentId, messageId } = selector;
  // A message that ends while the store is read was followed before.
  const before = context.messages.find(environmentId, messageId);
  const stored = await context.store.readMessages(environmentId, messageId, maxSameMessages);
  const followed = [...before, ...context.messages.find(environmentId, messageId)];
  const known = new Map(stored.map((message) => [conversationKey(message.scope), unknownUnlessEnded(message)]));
  for (const message of followed) {
    const other = known.get(conversationKey(message.scope));
    // A stored end is as new as a followed message, unless it belongs to an earlier message with the same id.
    const isStored = other?.deliveryId === message.deliveryId && hasEnded(other.status);
    if (!isStored) known.set(conversationKey(message.scope), message);
  }
  return [...known.values()].filter((message) => isSelected(message, selector));
}

/** Reads one message; `null` when it does not exist. */
export async function readMessage(
  server: ServerContext,
  { scope, messageId }: Pick<StoredMessage, "scope" | "messageId">,
): Promise<StoredMessage | null> {
  const [message] = await readMessages(server, { ...scope, messageId, agentIds: [scope.agentId] });
  return message ?? null;
}

/** A message that is not followed is unknown, unless it has ended. */
export function unknownUnlessEnded(message: StoredMessage): StoredMessage {
  if (hasEnded(message.status)) return message;
  return { ...message, status: advance(message.status, { kind: "lost" }) };
}

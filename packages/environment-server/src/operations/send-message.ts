import {
  allowsAgent,
  allowsDevice,
  allowsMode,
  decodeBody,
  type PlainRequest,
  type PlainResponse,
  type Principal,
  problemResponse,
  type SendMessageBody,
  SendMessageBodySchema,
} from "@letta-environments/schema";
import { judgeRepeat } from "../delivery/judge-repeat.ts";
import { outcomeResponse } from "../delivery/outcome-response.ts";
import type { PendingDelivery } from "../delivery/pending-deliveries.ts";
import { type DeliveryPlan, messageIdIssues, planDelivery } from "../delivery/plan-delivery.ts";
import { maxUnacknowledgedSends, maxWaitingMessages } from "../limits.ts";
import type { ConnectionRecord, ConversationScope, Delivery } from "../ports.ts";
import { buildInputFrame } from "../socket/build-frame.ts";
import type { DeviceConnection } from "../socket/device-connection.ts";
import type { RequestContext, ServerContext } from "./operation-context.ts";

/** What became of a request in its lane: an answer, or a send whose outcome is to be waited for. */
type Dispatch =
  | { readonly kind: "answered"; readonly response: PlainResponse }
  | { readonly kind: "pending"; readonly pending: PendingDelivery; readonly replayed: boolean };

/**
 * Sends messages to the device behind a connection and answers when the device has acknowledged them.
 *
 * A message id is sent at most once: it is stored before the frame is written, and a repeat answers the first result, whether
 * the device is still online or not. Frames of one connection leave in the order in which the requests came in.
 *
 * A key with a ceiling on the mode is held to the mode that the device has when the frame would leave; a repeat sends nothing
 * and is answered whatever the mode.
 *
 * Rejects with the reason of `signal` when it is aborted before anything was sent.
 */
export async function sendMessage(
  context: ServerContext,
  connectionId: string,
  request: PlainRequest,
  principal: Principal,
  { signal }: RequestContext,
): Promise<PlainResponse> {
  const body = decodeBody(SendMessageBodySchema, request.body, request.headers["content-type"]);
  if (!body.ok) return body.response;
  if (!allowsAgent(principal, body.value.agentId)) return problemResponse("agent_not_allowed");
  const planned = planDelivery(body.value, context.sha256);
  if (planned.kind === "refused") return planned.response;
  const { plan } = planned;
  // The connection's lane keeps the order of arrival, look-up included. The row's lane keeps a reservation and its frame
  // together, whichever connectionId of the row a request names.
  const dispatch = await context.lanes.run(JSON.stringify([principal.tenant, connectionId]), async () => {
    const record = await context.store.findConnection(principal.tenant, connectionId);
    if (record === null || !allowsDevice(principal, record.environment)) {
      return answer(problemResponse("connection_not_found"));
    }
    return context.lanes.run(record.environment.id, async () => {
      signal?.throwIfAborted();
      return (
        (await answerRepeat(context, record, plan, body.value)) ??
        (await send(context, record, plan, principal, signal))
      );
    });
  });
  if (dispatch.kind === "answered") return dispatch.response;
  return outcomeResponse(await dispatch.pending.outcome, dispatch.replayed);
}

/** The answer to a request whose message ids are known; `null` when none of them is. */
async function answerRepeat(
  context: ServerContext,
  { environment }: ConnectionRecord,
  plan: DeliveryPlan,
  body: SendMessageBody,
): Promise<Dispatch | null> {
  const known = await context.store.findMessages(scopeOf(environment.id, plan), plan.messageIds, context.clock.now());
  const verdict = judgeRepeat(plan.messageIds, plan.fingerprint, known);
  switch (verdict.kind) {
    case "new":
      return null;
    case "conflict": {
      const isKnown = (messageId: string): boolean => verdict.messageIds.has(messageId);
      const issues = messageIdIssues(body.messages, "was already used for another body", isKnown);
      return answer(problemResponse("message_id_reused", { issues }));
    }
    case "repeat": {
      const pending = context.pending.find(environment.id, verdict.deliveryId);
      if (pending !== undefined) return { kind: "pending", pending, replayed: true };
      if (verdict.outcome !== null) return answer(outcomeResponse(verdict.outcome, true));
      // Reserved by a process that ended before it knew more: the message may have been sent.
      await context.store.settle(verdict.deliveryId, environment.id, { kind: "unknown" });
      return answer(outcomeResponse({ kind: "unknown" }, true));
    }
  }
}

async function send(
  context: ServerContext,
  record: ConnectionRecord,
  plan: DeliveryPlan,
  principal: Principal,
  signal: AbortSignal | undefined,
): Promise<Dispatch> {
  const { store, pending, hub } = context;
  if (context.isClosing()) return answer(problemResponse("shutting_down"));
  await waitUntilSettled(context, findOnline(context, record));
  const connection = findOnline(context, record);
  if (connection === null) return answer(notReachable(record));
  if (!isModeAllowed(principal, connection)) return answer(problemResponse("mode_not_allowed"));
  const scope = scopeOf(record.environment.id, plan);
  const crowded = checkRoom(context, connection, plan);
  if (crowded !== null) return answer(crowded);
  const delivery: Delivery = {
    id: context.randomId("msg"),
    scope,
    messageIds: plan.messageIds,
    fingerprint: plan.fingerprint,
  };
  const opened = pending.open(delivery, connection.device);
  try {
    // The ids were free a moment ago and the lane is ours: only another process on the same store can have taken them.
    if (!(await store.reserve(delivery, context.clock.now()))) throw new Error("a message id was taken meanwhile");
  } catch (cause) {
    pending.discard(opened);
    throw cause;
  }
  // Storing takes time, in which the device can leave or change its mode.
  const modeAllowed = isModeAllowed(principal, connection);
  const ready = modeAllowed && signal?.aborted !== true && findOnline(context, record) === connection;
  if (!ready || !hub.send(connection, buildInputFrame(delivery.id, plan, plan.messages))) {
    pending.discard(opened);
    await store.release(delivery.id);
    signal?.throwIfAborted();
    if (context.isClosing()) return answer(problemResponse("shutting_down"));
    return answer(modeAllowed ? notReachable(record) : problemResponse("mode_not_allowed"));
  }
  pending.markSent(opened);
  context.emit({ type: "message_sent", ...connection.device, deliveryId: delivery.id });
  return { kind: "pending", pending: opened, replayed: false };
}

function findOnline({ hub }: ServerContext, { environment, connectionId }: ConnectionRecord): DeviceConnection | null {
  const connection = hub.online(environment.id);
  return connection?.device.connectionId === connectionId ? connection : null;
}

function isModeAllowed(principal: Principal, { toldMode }: DeviceConnection): boolean {
  return allowsMode(principal, toldMode ?? undefined);
}

/** Waits out the settle time of a socket that has just opened; the row's lane keeps later sends behind. */
async function waitUntilSettled(
  { clock, settleMs }: ServerContext,
  connection: DeviceConnection | null,
): Promise<void> {
  const waitMs = connection === null ? 0 : connection.connectedAtMs + settleMs - clock.now();
  if (waitMs > 0) await new Promise<void>((resolve) => void clock.setTimer(waitMs, resolve));
}

function notReachable({ latest }: ConnectionRecord): PlainResponse {
  return problemResponse(latest ? "device_offline" : "connection_replaced");
}

/** 429 `queue_full` when the device would have to hold too much: it drops accepted messages without an error. */
function checkRoom(context: ServerContext, connection: DeviceConnection, plan: DeliveryPlan): PlainResponse | null {
  const waiting = context.pending.waiting(connection.device.environmentId).map((pending) => pending.delivery);
  if (waiting.length >= maxUnacknowledgedSends) {
    const detail = `The device has ${maxUnacknowledgedSends} messages to acknowledge first; nothing was sent.`;
    return problemResponse("queue_full", { detail });
  }
  const unacknowledgedIds = waiting
    .filter(({ scope }) => scope.agentId === plan.agentId && scope.conversationId === plan.conversationId)
    .flatMap((delivery) => delivery.messageIds);
  const count = connection.queues.count(plan, unacknowledgedIds) + plan.messageIds.length;
  return count > maxWaitingMessages ? problemResponse("queue_full") : null;
}

function scopeOf(environmentId: string, { agentId, conversationId }: DeliveryPlan): ConversationScope {
  return { environmentId, agentId, conversationId };
}

function answer(response: PlainResponse): Dispatch {
  return { kind: "answered", response };
}

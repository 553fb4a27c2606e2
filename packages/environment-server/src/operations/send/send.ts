/**
 * Sends messages and approval decisions to a device. Each message id is sent at most once: it is stored before its frame is written, and a repeat
 * receives the first outcome, whether the device is online or not.
 *
 * Frames are sent in the order in which the requests of a connection arrived. Two queues keep this order: one per connectionId for the look-up and
 * `beforeSend`, and one per environment row for storing the ids and writing the frame (`dispatch.ts`). The first queue is separate for a key with limits about which
 * the device may have to be asked, or that sets a mode, so that only sends of that key wait for the device. A message that waits for an earlier one
 * of its conversation is in neither queue; see `conversations/order.ts`. A body with decisions becomes several frames, and frames of other sends may
 * be written between them.
 */
import {
  allowsAgent,
  isApprovalMessage,
  type OperationInput,
  type PlainResponse,
  type Principal,
  problemResponse,
  refused,
  refuseLastingPermission,
} from "@letta-environments/schema";
import type { StoredApproval } from "../../approval-log.ts";
import type { DenialResult } from "../../approvals/enforcement.ts";
import { type DeliveryPart, type DeliveryPlan, planDelivery } from "../../delivery/plan.ts";
import { outcomeResponse, partialResponse, unsentAfterDisconnect } from "../../delivery/repeat.ts";
import { unavailableResponse } from "../../lock-waiting-store.ts";
import type { ConversationScope } from "../../ports.ts";
import type { DeviceCallContext } from "../../routing/router.ts";
import { checkQueue } from "./admission.ts";
import { awaitRequest, policyDenial, resolveRequestedAt } from "../approvals/decisions.ts";
import type { Send, ServerContext } from "../context.ts";
import { mayNeedDeviceQuery } from "../conversations/key-limits.ts";
import type { Started } from "../conversations/order.ts";
import { createDecision } from "../decision.ts";
import { type Dispatch, enqueue, respond, runRepeat } from "./dispatch.ts";
import { findForAction, findSocketOf, sendQueuesOf } from "../reach.ts";

/**
 * Sends messages and approval decisions to the device behind a connection, and responds when the device has acknowledged them. The frames of a
 * body are delivered one after the other; the first one that fails ends the request. The decisions are checked before the first frame leaves.
 *
 * A key that is limited to agents uses a named conversation only if the device confirms its agent, even for a decision on an approval. If a key
 * sets a mode, the conversation is switched to it before the message leaves. A key with a maximum mode is checked against the mode that the
 * conversation has when a frame leaves. A repeat sends nothing, so it is not checked. A frame that has waited is decided again before it is written,
 * see `decision.ts`.
 *
 * Rejects with the reason of `signal` when it is aborted before a frame was sent. A frame that was already sent cannot be recalled, and the
 * frames after it are not sent. The response says how many were delivered.
 */
export async function sendMessage(
  server: ServerContext,
  { params, body }: OperationInput<"sendMessage">,
  principal: Principal,
  context: DeviceCallContext,
): Promise<PlainResponse> {
  const planned = planSend(body, principal, context.idempotencyKey ?? null, server.sha256);
  if (planned.kind === "refused") return planned.response;
  const { signal, progress, traceId } = context;
  const refuse = (present: Principal): PlainResponse | null => refuseSend(present, body);
  const decide = createDecision(server, params.connectionId, principal, context, refuse);
  if (progress !== undefined) progress.isSent = false;
  const arrivalSequence = server.approvals.latestSequence();
  const arrival = server.order.arrive();
  // The queue keeps the order of arrival while the connection is looked up and the device is asked.
  const separateQueueKeyId = mayNeedDeviceQuery(principal, planned.plan) ? principal.keyId : null;
  const [plainQueue, queryingQueue] = sendQueuesOf(principal, params.connectionId);
  const queueKey = separateQueueKeyId === null ? plainQueue : queryingQueue;
  const begun = await server.queue.run(queueKey, async () => {
    const found = await findForAction(server, params.connectionId, principal, context);
    if (found.kind === "refused") return found;
    const { record } = found;
    const { agentId, conversationId } = planned.plan;
    const scope: ConversationScope = { environmentId: record.environment.id, agentId, conversationId };
    const [part, ...rest] = planned.plan.parts;
    const resolve = (each: DeliveryPart) => resolveRequestedAt({ server, part: each, scope }, arrivalSequence);
    const plan: DeliveryPlan = { ...planned.plan, parts: [resolve(part), ...rest.map(resolve)] };
    const send: Send = {
      server,
      record,
      scope,
      part: plan.parts[0],
      principal,
      decide,
      arrival,
      traceId,
      separateQueueKeyId,
      signal,
      progress,
    };
    return { kind: "begun", send, rest: plan.parts.slice(1), started: await start({ ...send, plan }) } as const;
  });
  if (begun.kind === "refused") return begun.response;
  let response = await toResponse(await begun.started.result);
  let deliveredCount = 0;
  for (const next of begun.rest) {
    if (response.status !== 200) break;
    deliveredCount += 1;
    const send = { ...begun.send, part: next };
    await awaitRequest(send);
    try {
      const { result } = await start(send);
      response = await toResponse(await result);
    } catch (cause) {
      const isAborted = signal?.aborted === true && cause === signal.reason;
      const failure = isAborted ? unsentAfterDisconnect : unavailableResponse(cause);
      if (failure === null) throw cause;
      response = failure;
    }
  }
  if (response.status === 200 || deliveredCount === 0) return response;
  return partialResponse(response, deliveredCount, planned.plan.parts);
}

/** Plans a send, or refuses its body, before anything is looked up. */
export function planSend(
  body: OperationInput<"sendMessage">["body"],
  principal: Principal,
  idempotencyKey: string | null,
  sha256: ServerContext["sha256"],
): ReturnType<typeof planDelivery> {
  const refusal = refuseSend(principal, body);
  return refusal === null ? planDelivery(body, idempotencyKey, sha256) : refused(refusal);
}

/** Returns the refusal of a body that the key may not send to any device; `null` when it may. */
function refuseSend(principal: Principal, body: OperationInput<"sendMessage">["body"]): PlainResponse | null {
  if (!allowsAgent(principal, body.agentId)) return problemResponse("agent_not_allowed");
  if (!body.messages.some(isApprovalMessage) || principal.scopes.has("approve"))
    return refuseLastingPermission(principal, body);
  const detail = "The gateway key lacks the scope 'approve', which approval messages need.";
  return problemResponse("insufficient_scope", { detail });
}

/** Denies a request for permission in the name of a policy, while its device is connected. It does not reject for a lost device. */
export async function denyByPolicy(server: ServerContext, approval: StoredApproval): Promise<DenialResult> {
  const { scope, tenant } = approval;
  const denial = policyDenial(server, approval);
  const connectionId = server.hub.onlineConnectionOf(scope.environmentId)?.device.connectionId;
  if (denial === null) return "settled";
  const record = connectionId === undefined ? null : await server.store.findConnection(tenant, connectionId);
  if (record === null) return "not_sent";
  const dispatch = await enqueue({ server, record, scope, ...denial, separateQueueKeyId: null }, null);
  // Only `queue_full` is temporary. A device that was lost repeats its request; after any other refusal, an earlier decision applies.
  if (dispatch.kind === "responded") return dispatch.response.status === 429 ? "not_sent" : "settled";
  const { kind } = await dispatch.pending.outcome;
  return dispatch.replayed || kind === "rejected" ? "settled" : kind;
}

/** Sends a frame: a message after the earlier ones of its conversation, a decision immediately. Resolves when it is sent, or waits for a message. */
async function start(send: Send): Promise<Started<Dispatch>> {
  const { server, scope, part, separateQueueKeyId } = send;
  const isMessage = part.payload.kind === "create_message";
  const early = isMessage ? await dispatchEarly(send) : await enqueue(send, null);
  if (early !== null) return { result: Promise.resolve(early) };
  return server.order.start({ scope, separateQueueKeyId, messageIds: part.messageIds, length: part.length }, (place) =>
    enqueue(send, place),
  );
}

/** Responds immediately if a message is a repeat, or does not fit after the waiting ones of its conversation; otherwise resolves with `null`. */
async function dispatchEarly(send: Send): Promise<Dispatch | null> {
  const { server, record, scope, separateQueueKeyId } = send;
  if (server.order.waiting(scope).length === 0) return null;
  const repeat = await server.queue.run(record.environment.id, () => runRepeat(send));
  const connection = findSocketOf(server, record);
  // A key with limits first learns whether it may use the conversation.
  if (repeat !== null || connection === null || separateQueueKeyId !== null) return repeat;
  const refusal = checkQueue(send, connection, server.order.waiting(scope));
  return refusal === null ? null : respond(refusal);
}

async function toResponse(dispatch: Dispatch): Promise<PlainResponse> {
  if (dispatch.kind === "responded") return dispatch.response;
  return outcomeResponse(await dispatch.pending.outcome, dispatch.replayed);
}

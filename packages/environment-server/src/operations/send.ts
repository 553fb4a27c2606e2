/**
 * Sends messages and approval decisions to a device. Each message id is sent at most once: it is stored before its frame is written, and a repeat
 * receives the first outcome, whether the device is online or not.
 *
 * Frames are sent in the order in which the requests of a connection arrived. Two queues keep this order: one per connectionId for the look-up and
 * `beforeSend`, and one per environment row for storing the ids and writing the frame. The first queue is separate for a key with limits about which
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
import type { StoredApproval } from "../approval-log.ts";
import type { DenialResult } from "../approvals/enforcement.ts";
import type { PendingDelivery } from "../delivery/pending.ts";
import { type DeliveryPart, type DeliveryPlan, messageIdIssues, planDelivery, storedIds } from "../delivery/plan.ts";
import { classifyRepeat, outcomeResponse, partialResponse, unsentAfterDisconnect } from "../delivery/repeat.ts";
import { unavailableResponse } from "../lock-waiting-store.ts";
import type { ConversationScope, Delivery } from "../ports.ts";
import type { DeviceConnection } from "../socket/connection.ts";
import { buildInputFrame, type InputPayload } from "../dialects/build.ts";
import type { DeviceCallContext } from "../routing/router.ts";
import { admit, checkQueue, type Deferred, limitsOf, refuseOvertaken } from "./admission.ts";
import type { Send, ServerContext } from "./context.ts";
import { queryDevice, type DeviceQueryResult, mayNeedDeviceQuery, modeRefusal } from "./conversations/key-limits.ts";
import { awaitPredecessor, type MessagePlace, type Started } from "./conversations/order.ts";
import { runInModeTurn, switchMode } from "./conversations/set-mode.ts";
import { createDecision } from "./decision.ts";
import { findForAction, findSocketOf, sendQueuesOf, unreachableResponse } from "./reach.ts";
import {
  addressedPayload,
  awaitRequest,
  resolveRequestedAt,
  decidedResponse,
  findKnownAfterRelease,
  recordDecision,
  policyDenial,
  refuseEarlierRequest,
  refuseReplaced,
  replacedResponse,
} from "./approvals/decisions.ts";

/** The result of a frame in the queue of its row: a response, or a send whose outcome is awaited outside of the queue. */
type Dispatch =
  | { readonly kind: "responded"; readonly response: PlainResponse }
  | { readonly kind: "pending"; readonly pending: PendingDelivery; readonly replayed: boolean };

/** The frame must be checked from the start: the permissions of its principal changed while it waited. */
interface ChangedPrincipal {
  readonly kind: "principal_changed";
  readonly principal: Principal;
}

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

/**
 * Runs a frame in the queue of its row, so that no other frame, under any connectionId of the row, comes between the reservation of its ids and the
 * write. The frame leaves the queue while the device is queried or switches the mode, or while it waits for its turn or for an earlier message.
 */
async function enqueue(initial: Send, place: MessagePlace | null): Promise<Dispatch> {
  const { server, record, scope, signal } = initial;
  let send = initial;
  let queryResult: DeviceQueryResult | null = null;
  for (let questionsLeft = 5; ;) {
    const current: Send = send;
    const answered: DeviceQueryResult | null = queryResult;
    const dispatch: Dispatch | Deferred | ChangedPrincipal = await server.queue.run(record.environment.id, async () => {
      const repeat = await runRepeat(current);
      return repeat ?? dispatchNew(current, place, answered);
    });
    if (dispatch.kind === "responded" || dispatch.kind === "pending") return dispatch;
    if (dispatch.kind === "principal_changed") {
      send = { ...send, principal: dispatch.principal };
      // It answers for the earlier limits. Equal ones keep it, or a slow device would be asked again and again.
      if (JSON.stringify(limitsOf(send)) !== JSON.stringify(limitsOf(current))) queryResult = null;
      continue;
    }
    if (dispatch.kind === "behind_message") {
      await awaitPredecessor(server, dispatch, signal);
      continue;
    }
    if (dispatch.kind === "needs_mode_turn")
      return runInModeTurn(server, scope, place, () => enqueue({ ...current, hasModeTurn: true }, place));
    // Somebody may change the mode, or the device reconnect, after each answer.
    if (questionsLeft-- === 0)
      return respond(modeRefusal(server, limitsOf(send), scope) ?? unreachableResponse(record));
    queryResult = await askDevice(current, dispatch.kind);
  }
}

/** Asks a device for what a frame needs, or lets it switch to a mode. One at a time of each kind leaves places for the commands of other callers. */
function askDevice(send: Send, kind: DeviceQueryResult["kind"]): Promise<DeviceQueryResult | null> {
  const { server, record, scope, principal } = send;
  const mode = kind === "needs_mode_switch" ? principal.setMode : null;
  return server.queue.run(JSON.stringify([kind, mode, record.environment.id]), async () => {
    // Not for a frame that will not be sent.
    if (send.signal?.aborted === true || server.isClosing() || (await refuseOrRestart(send)) !== null) return null;
    const limits = limitsOf(send);
    return kind === "needs_device_answer"
      ? queryDevice(server, limits, scope, record)
      : switchMode(server, principal.keyId, limits, scope, record);
  });
}

/** Decides again on a frame that has waited. Returns `null` if the frame may be sent with the permissions that it was checked with. */
async function refuseOrRestart(send: Send): Promise<Dispatch | ChangedPrincipal | null> {
  const { decide, principal } = send;
  const decided = await decide?.();
  if (decided === undefined) return null;
  if (decided.kind === "refused") return respond(decided.response);
  const overtaken = refuseOvertaken(send);
  if (overtaken !== null) return respond(overtaken);
  return decided.principal === principal ? null : { kind: "principal_changed", principal: decided.principal };
}

/** Looks for a repeat, in its row's queue. */
async function runRepeat(send: Send): Promise<Dispatch | null> {
  send.signal?.throwIfAborted();
  const repeat = await dispatchRepeat(send);
  // An earlier send with the same ids may have reached the device.
  if (repeat !== null) markProgressSent(send);
  return repeat;
}

function markProgressSent({ progress }: Pick<Send, "progress">): void {
  if (progress !== undefined) progress.isSent = true;
}

async function toResponse(dispatch: Dispatch): Promise<PlainResponse> {
  if (dispatch.kind === "responded") return dispatch.response;
  return outcomeResponse(await dispatch.pending.outcome, dispatch.replayed);
}

/**
 * Responds with the outcome of the earlier send if the ids of a frame are known; returns `null` if none is. Ids whose release failed earlier are
 * released first, and count as new.
 */
async function dispatchRepeat(send: Send): Promise<Dispatch | null> {
  const { server, record, scope, part } = send;
  const { store, pending } = server;
  const known = await findKnownAfterRelease(server, part, scope);
  const repeat = classifyRepeat(part, known);
  switch (repeat.kind) {
    case "new":
      return null;
    case "key_conflict": {
      const issues = [{ member: "idempotency-key", rule: "was already used with a different body" }];
      return respond(problemResponse("message_id_reused", { issues }));
    }
    case "conflict":
      return respond(await conflictResponse(send, repeat.messageIds));
    case "repeat": {
      const replaced = await refuseEarlierRequest(send);
      if (replaced !== null) return respond(replaced);
      const { id: environmentId } = record.environment;
      const found = pending.find(environmentId, repeat.deliveryId);
      if (found !== undefined) return { kind: "pending", pending: found, replayed: true };
      const outcomeWrite = pending.outcomeWrite(repeat.deliveryId);
      if (outcomeWrite !== undefined) return outcomeWrite.then(() => dispatchRepeat(send));
      const outcome = pending.unsavedOutcome(repeat.deliveryId) ?? repeat.outcome;
      if (outcome !== null) return respond(outcomeResponse(outcome, true));
      // A process that ended before it knew the outcome has reserved the ids: the message may have been sent.
      const isUnknown = await store.settle(repeat.deliveryId, environmentId, { kind: "unknown" });
      // Otherwise the outcome was stored after the ids were looked up.
      return isUnknown ? respond(outcomeResponse({ kind: "unknown" }, true)) : dispatchRepeat(send);
    }
  }
}

/** The response to a part of which at least one id was used for other content. The only id of a decision is its tool call. */
async function conflictResponse(send: Send, knownIds: ReadonlySet<string>): Promise<PlainResponse> {
  if (send.part.toolCallId !== null) return decidedResponse(send);
  const issues = messageIdIssues(send.part, "was already used with a different body", (messageId) =>
    knownIds.has(messageId),
  );
  return problemResponse("message_id_reused", { issues });
}

/** Sends a frame whose ids are new: checks, reserves the ids, writes the frame. */
async function dispatchNew(
  send: Send,
  place: MessagePlace | null,
  queryResult: DeviceQueryResult | null,
): Promise<Dispatch | Deferred | ChangedPrincipal> {
  const early = await refuseOrRestart(send);
  if (early !== null) return early;
  const admitted = await admit(send, place, queryResult);
  if (admitted.kind === "refused") return respond(admitted.response);
  if (admitted.kind !== "admitted") return admitted;
  const { server, record, scope, part, signal, traceId } = send;
  const { pending, hub, messages } = server;
  const { connection } = admitted;
  // The checks may have taken a while.
  const outdated = refuseReplaced(send);
  if (outdated !== null) return respond(outdated);
  const { opened, payload } = await reserve(send, place, connection);
  const { delivery } = opened;
  // The device may have been stopped, or have disconnected or changed its mode, while the ids were stored.
  const refusal = refuseOvertaken(send) ?? modeRefusal(server, limitsOf(send), scope);
  const isReplaced = server.approvals.isReplaced(scope.environmentId, delivery.id);
  const isReady =
    refusal === null && !isReplaced && signal?.aborted !== true && findSocketOf(server, record) === connection;
  if (isReady) markProgressSent(send);
  if (!isReady || !hub.send(connection, buildInputFrame(delivery.id, scope, payload))) {
    await undo(send, opened);
    signal?.throwIfAborted();
    if (server.isClosing()) return respond(problemResponse("shutting_down"));
    return respond(refusal ?? (isReplaced ? replacedResponse(part) : unreachableResponse(record)));
  }
  pending.markSent(opened, place?.waitedMs);
  messages.markSent(delivery);
  server.emit({ type: "message_sent", ...connection.device, deliveryId: delivery.id, ...(traceId && { traceId }) });
  return { kind: "pending", pending: opened, replayed: false };
}

/** Adds a frame to the pending sends and stores its ids. If that fails, removes both again and rejects. */
async function reserve(
  send: Send,
  place: MessagePlace | null,
  connection: DeviceConnection,
): Promise<{ readonly opened: PendingDelivery; readonly payload: InputPayload }> {
  const { server, scope, part, principal } = send;
  // Built first: once the decision is noted, its request is no longer pending.
  const payload = addressedPayload(send);
  const delivery: Delivery = {
    id: server.randomId("msg"),
    scope,
    messageIds: storedIds(part),
    ...(payload.kind === "create_message" && { userMessageIds: part.messageIds }),
    fingerprint: part.fingerprint,
  };
  const facts = { isDecision: payload.kind === "approval_response", length: part.length };
  const opened = server.pending.open(delivery, connection.device, facts);
  if (place !== null) place.isPending = true;
  recordDecision(send, delivery.id);
  try {
    // The ids were free a moment ago and this row's queue is ours, so only another process on the same store can have taken them.
    if (!(await server.store.reserve(delivery, server.time.now())))
      throw new Error("another process took a message id");
  } catch (cause) {
    // The store may have failed after it stored the ids.
    await undo(send, opened).catch(() => undefined);
    throw cause;
  }
  await server.messages.open(delivery, principal.approvalPolicy);
  return { opened, payload };
}

/** Undoes the reservation of a frame that was not written, and releases its ids, because a repeat must find them free. */
async function undo({ server, scope }: Send, opened: PendingDelivery): Promise<void> {
  const { delivery } = opened;
  server.pending.discard(opened);
  server.messages.discard(delivery);
  server.approvals.undoDecision(scope.environmentId, delivery.id);
  await server.pending.release(delivery.id);
}

function respond(response: PlainResponse): Dispatch {
  return { kind: "responded", response };
}

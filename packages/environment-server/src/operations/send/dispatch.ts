/**
 * One frame of a send in the queue of its row. A repeat gets the first outcome; a new frame is checked, its ids are stored, and it is written. A frame
 * that has to wait leaves the queue, and is decided again before it is written.
 */
import { type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import type { PendingDelivery } from "../../delivery/pending.ts";
import { messageIdIssues, storedIds } from "../../delivery/plan.ts";
import { classifyRepeat, outcomeResponse } from "../../delivery/repeat.ts";
import { buildInputFrame, type InputPayload } from "../../dialects/build.ts";
import type { Delivery } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";
import { admit, type Deferred, limitsOf, limitsToQuery, refuseOvertaken } from "./admission.ts";
import {
  addressedPayload,
  decidedResponse,
  findKnownAfterRelease,
  recordDecision,
  refuseEarlierRequest,
  refuseReplaced,
  replacedResponse,
} from "../approvals/decisions.ts";
import type { Send } from "../context.ts";
import { queryDevice, type DeviceQueryResult, modeRefusal } from "../conversations/key-limits.ts";
import { awaitPredecessor, type MessagePlace } from "../conversations/order.ts";
import { runInModeTurn, switchMode } from "../conversations/set-mode.ts";
import { findSocketOf, unreachableResponse } from "../reach.ts";

/** The result of a frame in the queue of its row: a response, or a send whose outcome is awaited outside of the queue. */
export type Dispatch =
  | { readonly kind: "responded"; readonly response: PlainResponse }
  | { readonly kind: "pending"; readonly pending: PendingDelivery; readonly replayed: boolean };

/** The frame must be checked from the start: the permissions of its principal changed while it waited. */
interface ChangedPrincipal {
  readonly kind: "principal_changed";
  readonly principal: Principal;
}

/**
 * Runs a frame in the queue of its row, so that no other frame, under any connectionId of the row, comes between the reservation of its ids and the
 * write. The frame leaves the queue while the device is queried or switches the mode, or while it waits for its turn or for an earlier message.
 */
export async function enqueue(initial: Send, place: MessagePlace | null): Promise<Dispatch> {
  const { server, record, scope, signal } = initial;
  let send = initial;
  let queryResult: DeviceQueryResult | null = null;
  for (let questionsLeft = 5; ;) {
    const current: Send = send;
    const answered: DeviceQueryResult | null = queryResult;
    // Usually decides for the queue, too, where a check that nobody answers would hold up every other frame.
    await current.decide?.();
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
    if (questionsLeft === 0)
      return respond(modeRefusal(server, limitsOf(send), scope) ?? (await unreachableResponse(server, record)));
    // The queue is for keys without limits, but this one has some now.
    if (current.separateQueueKeyId === null) place?.releaseQueue();
    queryResult = await askDevice(current, dispatch.kind);
    if (queryResult !== null) questionsLeft -= 1;
  }
}

/**
 * Asks a device for what a frame needs, or lets it switch to a mode. One at a time of each kind leaves places for the commands of other callers.
 * Resolves with `null` without a question if the frame must be decided again, or its device is offline.
 */
function askDevice(send: Send, kind: DeviceQueryResult["kind"]): Promise<DeviceQueryResult | null> {
  const { server, record, scope, principal } = send;
  const mode = kind === "needs_mode_switch" ? principal.setMode : null;
  return server.queue.run(JSON.stringify([kind, mode, record.environment.id]), async () => {
    // Not for a frame that will not be sent.
    if (send.signal?.aborted === true || (await refuseOrRestart(send)) !== null) return null;
    return kind === "needs_device_answer"
      ? queryDevice(server, limitsToQuery(send), scope, record)
      : switchMode(server, principal.keyId, limitsOf(send), scope, record);
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
export async function runRepeat(send: Send): Promise<Dispatch | null> {
  send.signal?.throwIfAborted();
  const repeat = await dispatchRepeat(send);
  // An earlier send with the same ids may have reached the device.
  if (repeat !== null) markProgressSent(send);
  return repeat;
}

function markProgressSent({ progress }: Pick<Send, "progress">): void {
  if (progress !== undefined) progress.isSent = true;
}

/**
 * Responds with the outcome of the earlier send if the ids of a frame are known; returns `null` if none is. Ids whose release failed earlier are
 * released first, and count as new.
 */
async function dispatchRepeat(send: Send): Promise<Dispatch | null> {
  const { server, record, part } = send;
  const { store, pending } = server;
  const known = await findKnownAfterRelease(send);
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

/** The response to a part with ids that were used for other content. The only id of a decision is its tool call. */
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
    return respond(refusal ?? (isReplaced ? replacedResponse(part) : await unreachableResponse(server, record)));
  }
  pending.markSent(opened, place?.requestedAtMs);
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
async function undo({ server, record, scope }: Send, opened: PendingDelivery): Promise<void> {
  const { delivery } = opened;
  server.pending.discard(opened);
  server.messages.discard(delivery);
  server.approvals.undoDecision(scope.environmentId, delivery.id);
  await server.pending.release(record.environment.tenant, delivery.id);
}

export function respond(response: PlainResponse): Dispatch {
  return { kind: "responded", response };
}

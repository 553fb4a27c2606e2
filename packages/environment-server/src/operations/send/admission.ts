/**
 * Decides whether a frame may be sent to its device now. These checks need the device, its queue and its reports, so they run after the checks of the
 * key and of repeats, and before anything is stored.
 */
import { type PlainResponse, problemResponse, refused, type Refused } from "@letta-environments/schema";
import type { PendingDelivery } from "../../delivery/pending.ts";
import { type DeliveryPart, isKeyId } from "../../delivery/plan.ts";
import { isSameConversation } from "../../dialects/conversation.ts";
import { maxQueueReportsLength, maxUnacknowledgedSends, maxWaitingLength, maxWaitingMessages } from "../../limits.ts";
import type { DeviceConnection } from "../../socket/connection.ts";
import { type QueuedSend, sizeOfQueue } from "../../socket/queue-ledger.ts";
import { refuseDecision, refuseLaterDecisions } from "../approvals/decisions.ts";
import type { Send } from "../context.ts";
import {
  type ConversationLimits,
  type DeviceQueryResult,
  modeRefusal,
  needsDeviceQuery,
  stoppedResponse,
} from "../conversations/key-limits.ts";
import { findPredecessor, type MessagePlace } from "../conversations/order.ts";
import { needsModeSwitch, refuseOwnMode } from "../conversations/set-mode.ts";
import { findSettled, unreachableResponse } from "../reach.ts";

/** The frame must wait outside the queue of the device: for the device's answer to a query, its turn, its mode, or the outcome of an earlier message. */
export type Deferred =
  | { readonly kind: DeviceQueryResult["kind"] | "needs_mode_turn" }
  | { readonly kind: "behind_message"; readonly place: MessagePlace; readonly predecessor: PendingDelivery };

/** The result of {@link admit}. */
export type Admission = { readonly kind: "admitted"; readonly connection: DeviceConnection } | Refused | Deferred;

/** Returns the socket for a frame, a refusal, or a reason to wait. Stores nothing. */
export async function admit(
  send: Send,
  place: MessagePlace | null,
  queryResult: DeviceQueryResult | null,
): Promise<Admission> {
  const { server, record, scope, part, plan, principal } = send;
  const limits = limitsOf(send);
  if (server.isClosing()) return refused(problemResponse("shutting_down"));
  // Later sends wait for it in the row's queue.
  const connection = await findSettled(server, record);
  if (connection === null) return refused(await unreachableResponse(server, record));
  // Answers from an earlier socket do not count.
  const answered = queryResult?.connection === connection ? queryResult : null;
  const isQueryNeeded = needsDeviceQuery(server, limitsToQuery(send), scope);
  if (isQueryNeeded && answered?.kind !== "needs_device_answer") return { kind: "needs_device_answer" };
  const unwanted =
    (isQueryNeeded ? answered?.refusal : null) ??
    refuseDecision(send, connection) ??
    refuseWithoutAgentsApi(part, connection) ??
    (plan ? await refuseLaterDecisions(send, plan.parts, connection) : null) ??
    refuseOwnMode(principal, limits);
  if (unwanted !== null) return refused(unwanted);
  // Keys that set different modes would take the mode from each other.
  if (needsModeTurn(send)) return { kind: "needs_mode_turn" };
  const predecessor = place === null ? null : findPredecessor(server, scope, place, connection);
  // A message that would be refused anyway does not wait.
  if (place !== null && predecessor !== null && checkQueue(send, connection) === null)
    return { kind: "behind_message", place, predecessor };
  const isSwitchNeeded = needsModeSwitch(server, limits, scope);
  if (isSwitchNeeded && answered?.kind !== "needs_mode_switch") return { kind: "needs_mode_switch" };
  const refusal =
    (isSwitchNeeded ? answered?.refusal : null) ?? modeRefusal(server, limits, scope) ?? checkQueue(send, connection);
  return refusal === null ? { kind: "admitted", connection } : refused(refusal);
}

/** Returns the refusal of a message that must not run because a stop was sent before it; `null` for any other, and for a decision. */
export function refuseOvertaken(send: Send): PlainResponse | null {
  const { server, record, scope, arrival, part } = send;
  const isMessage = part.payload.kind === "create_message";
  return isMessage && arrival !== undefined && server.order.isStopped(record.environment.tenant, scope, arrival)
    ? stoppedResponse(limitsOf(send))
    : null;
}

/** The limits of a key for one frame. A decision belongs to the turn that runs, whose mode stays. */
export function limitsOf({ part, principal: { agentIds, maxMode, setMode } }: Send): ConversationLimits {
  return { agentIds, maxMode, setMode: part.payload.kind === "create_message" ? (setMode ?? null) : null };
}

/** The limits about which the device is asked now. Those on the mode wait for the turn, which only a key that may use the conversation gets. */
export function limitsToQuery(send: Send): ConversationLimits {
  const limits = limitsOf(send);
  return needsModeTurn(send) ? { ...limits, maxMode: null, setMode: null } : limits;
}

function needsModeTurn(send: Send): boolean {
  return limitsOf(send).setMode !== null && send.hasModeTurn !== true;
}

const tooLong = "The messages waiting on the device have too many characters in total. Nothing was sent.";

/**
 * Returns 429 `queue_full` if the device would have to queue too many messages or too much text; otherwise `null`. A device silently drops
 * accepted messages when its queue is full, and repeats the queued text in its reports, which count against the limits of its socket.
 *
 * @param before earlier messages of the conversation that are not sent yet and will be sent before this one
 */
export function checkQueue(
  { server, part, scope }: Send,
  connection: DeviceConnection,
  before: readonly MessagePlace[] = [],
): PlainResponse | null {
  const waiting = server.pending.listWaiting(connection.device.environmentId);
  if (waiting.length + before.length >= maxUnacknowledgedSends) {
    const detail = `The device has not acknowledged ${maxUnacknowledgedSends} earlier messages. Nothing was sent.`;
    return problemResponse("queue_full", { detail });
  }
  // A device does not queue decisions.
  if (part.payload.kind === "approval_response") return null;
  const unacknowledged: QueuedSend[] = waiting
    .filter(({ isDecision, delivery }) => !isDecision && isSameConversation(delivery.scope, scope))
    .map(({ delivery, length }) => ({ messageIds: delivery.messageIds.filter((id) => !isKeyId(id)), length }));
  const size = sizeOfQueue(connection.queues, scope, [...unacknowledged, ...before]);
  const count = size.count + part.messageIds.length;
  if (count > maxWaitingMessages) return problemResponse("queue_full");
  // It may start immediately, whatever its length.
  if (size.count === 0) return null;
  const length = size.length + part.length;
  const isTooLong = length > maxWaitingLength || count * length + size.otherConversationsCost > maxQueueReportsLength;
  return isTooLong ? problemResponse("queue_full", { detail: tooLong }) : null;
}

/** Returns 409 `agents_api_missing` for messages to a device whose turns would fail; `null` for any other part. */
function refuseWithoutAgentsApi(part: DeliveryPart, connection: DeviceConnection): PlainResponse | null {
  const isRefused = part.payload.kind === "create_message" && connection.isAgentsApiMissing;
  return isRefused ? problemResponse("agents_api_missing") : null;
}

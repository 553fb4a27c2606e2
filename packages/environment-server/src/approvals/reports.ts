/**
 * The reports of a device change its pending requests: it asks, its status lists all that wait in a conversation, and the end of a turn ends
 * those of the turn.
 */
import { canonicalJson } from "@letta-environments/schema";
import type { ApprovalRequest } from "../approval-log.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { ConversationScope } from "../message-log.ts";
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import { causeOfNew, noteCause, updateCause, updatePolicy } from "./causes.ts";
import { keyText, type PendingApproval, type ReportedRequest, type SentDecision } from "./pending.ts";
import { policyActor } from "./policy.ts";
import { add, type ApprovalDevice, type ApprovalState, emitDecided, withdraw } from "./state.ts";

/** Takes a report of a device. */
export function receive(state: ApprovalState, environmentId: string, frame: TurnFrame | StatusFrame): void {
  const row = state.devices.get(environmentId);
  if (row === undefined || frame.runtime === null) return;
  switch (frame.kind) {
    case "control_request":
      return request(state, row, frame.runtime, frame.request, { isAsked: true });
    case "update_device_status":
      return frame.pending === null ? undefined : receiveList(state, row, frame.runtime, frame.pending);
    case "update_loop_status":
      return frame.activity === "idle"
        ? receiveEnd(state, row, frame.runtime, () => true)
        : noteCause(state, row, frame.runtime);
    case "turn_finished":
      // A request that only a status has listed may belong to the next turn: the end of this one leaves it.
      return receiveEnd(state, row, frame.runtime, ({ isAsked }) => isAsked);
    case "update_queue":
    case "assistant_text":
    case "loop_error":
  }
}

/** No request of a turn is pending when it is over. */
function receiveEnd(
  state: ApprovalState,
  row: ApprovalDevice,
  runtime: Conversation,
  isOfTurn: (entry: PendingApproval) => boolean,
): void {
  const { environmentId } = row.device;
  const known = state.pending.ofConversation(environmentId, runtime);
  const others = known.filter((entry) => !isOfTurn(entry));
  state.enforcement.keepOnly(
    environmentId,
    runtime,
    new Set(others.map(({ approval }) => approval.request.toolCallId)),
  );
  for (const entry of known.filter(isOfTurn)) {
    noteSent(entry, { isTurnOver: true });
    noteGone(state, row, entry);
  }
}

function receiveList(
  state: ApprovalState,
  row: ApprovalDevice,
  runtime: Conversation,
  listed: readonly ApprovalRequest[],
): void {
  const { environmentId } = row.device;
  const ids = new Set(listed.map(({ toolCallId }) => toolCallId));
  state.enforcement.keepOnly(environmentId, runtime, ids);
  state.withheld.keepOnly(environmentId, runtime, ids);
  state.askedBeyond.keepOnly(environmentId, runtime, ids);
  const known = state.pending.ofConversation(environmentId, runtime);
  // The usual status lists nothing, and nothing was pending.
  if (listed.length === 0 && known.length === 0) return;
  const gone = known.filter(({ approval }) => !ids.has(approval.request.toolCallId));
  for (const entry of gone) noteGone(state, row, entry);
  for (const asked of listed) request(state, row, runtime, asked, { isAsked: false });
}

/** `isAsked`: the device asks in a frame. Otherwise its status lists the request. */
function request(
  state: ApprovalState,
  row: ApprovalDevice,
  runtime: Conversation,
  asked: ApprovalRequest,
  { isAsked }: { readonly isAsked: boolean },
): void {
  const scope = { environmentId: row.device.environmentId, ...runtime };
  const known = state.pending.find({ scope, toolCallId: asked.toolCallId });
  if (known === undefined) return requestNew(state, row, scope, asked, { isAsked, requestedAt: state.wallNow() });
  const isSame = runsTheSame(known.approval.request, asked);
  if (!isSame && known.sent === null) return replace(state, row, known, { request: asked, isAsked });
  // Its turn runs, or the device asks again in another one.
  noteSent(known, { isTurnOver: false, isGone: false, replacement: isSame ? null : { request: asked, isAsked } });
  updatePolicy(state, row, known);
  state.enforcement.apply(known);
  if (isAsked && isSame) noteAsked(state, row, known);
}

/** Whether two reports ask for the same. One without an input says nothing about it, and what is said around it may differ between two frames. */
function runsTheSame(known: ApprovalRequest, asked: ApprovalRequest): boolean {
  const hasSameInput = asked.input === null || canonicalJson(known.input) === canonicalJson(asked.input);
  return known.tool === asked.tool && hasSameInput;
}

/** The device asks for something else under an id that is pending: whoever has seen the earlier request has not seen this one. */
export function replace(
  state: ApprovalState,
  row: ApprovalDevice,
  entry: PendingApproval,
  { request: asked, isAsked }: ReportedRequest,
): void {
  const { scope, requestedAt } = entry.approval;
  withdraw(state, row.device, entry);
  // The time tells them apart.
  requestNew(state, row, scope, asked, { isAsked, requestedAt: Math.max(state.wallNow(), requestedAt + 1) });
}

function requestNew(
  state: ApprovalState,
  row: ApprovalDevice,
  scope: ConversationScope,
  asked: ApprovalRequest,
  { isAsked, requestedAt }: { readonly isAsked: boolean; readonly requestedAt: number },
): void {
  const { enforcement, incomplete, withheld } = state;
  const { environmentId, tenant } = row.device;
  const key = { scope, toolCallId: asked.toolCallId };
  const made = { tenant, scope, request: asked, requestedAt, decision: null };
  const cause = causeOfNew(state, row, made, isAsked);
  if (cause === null) return withheld.add(key);
  withheld.delete(key);
  const approval = { ...made, ...cause };
  const entry = add(state, approval, row.owner);
  if (entry === null) {
    incomplete.add(environmentId);
    if (isAsked) state.askedBeyond.add(key);
    return enforcement.applyUntracked(approval, (denied, outcome) => {
      const { expiry } = denied;
      if (expiry !== null)
        emitDecided(state, row, denied, { behavior: "deny", decidedBy: policyActor(expiry.policy), outcome });
    });
  }
  entry.isAsked = isAsked;
  state.writer.save(approval);
  state.emit({ type: "approval_requested", ...row.device, toolCallId: asked.toolCallId, tool: asked.tool });
  state.onChange("requested", approval);
  state.waiters.notify(keyText(key));
  enforcement.apply(entry);
}

/** The device asks in the turn that runs. Until then, a status may have listed the request during an earlier turn. */
function noteAsked(state: ApprovalState, row: ApprovalDevice, entry: PendingApproval): void {
  if (entry.isAsked) return;
  entry.isAsked = true;
  if (entry.sent === null) updateCause(state, row, entry);
}

/** The device no longer asks. */
function noteGone(state: ApprovalState, { device }: ApprovalDevice, entry: PendingApproval): void {
  if (entry.sent === null) return withdraw(state, device, entry);
  // The outcome of the decision follows.
  noteSent(entry, { isGone: true });
  state.onGone(device.environmentId, entry.sent.deliveryId, entry.sent.isTurnOver);
}

function noteSent(entry: PendingApproval, change: Partial<Omit<SentDecision, "deliveryId" | "decision">>): void {
  if (entry.sent !== null) entry.sent = { ...entry.sent, ...change };
}

/**
 * Updates the pending requests of a device from its reports: a frame asks for one, a status lists all of a conversation, and the end of a
 * turn ends the requests of that turn.
 */
import { canonicalJson } from "@letta-environments/schema";
import { type ApprovalRequest, keyOf, serialiseKey, type StoredApproval } from "../approval-log.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { ConversationScope } from "../message-log.ts";
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import { triggerOfNew, updatePolicy, updateTrigger, updateTriggers, withMessagesOf } from "./triggers.ts";
import type { PendingApproval, ReportedRequest, SentDecision } from "./pending.ts";
import { policyActor } from "./policy.ts";
import { add, type ApprovalDevice, type ApprovalState, emitDecided, withdraw } from "./state.ts";
import type { HeldRequest } from "./not-pending.ts";

/** Takes a report of a device. */
export function receive(state: ApprovalState, environmentId: string, frame: TurnFrame | StatusFrame): void {
  const requester = state.devices.get(environmentId);
  if (requester === undefined || frame.runtime === null) return;
  switch (frame.kind) {
    case "control_request":
      return request(state, requester, frame.runtime, frame.request, { hasRequestFrame: true });
    case "update_device_status":
      return frame.pending === null ? undefined : receiveList(state, requester, frame.runtime, frame.pending);
    case "update_loop_status":
      return frame.activity === "idle"
        ? receiveEnd(state, requester, frame.runtime, () => true)
        : updateTriggers(state, requester, frame.runtime);
    case "turn_finished":
      // A request that only a status has listed may belong to the next turn: the end of this one leaves it.
      return receiveEnd(state, requester, frame.runtime, ({ hasRequestFrame }) => hasRequestFrame);
    case "update_queue":
    case "assistant_text":
    case "loop_error":
  }
}

/** No request of a turn is pending when it is over. */
function receiveEnd(
  state: ApprovalState,
  requester: ApprovalDevice,
  conversation: Conversation,
  isOfTurn: (entry: Pick<PendingApproval, "hasRequestFrame">) => boolean,
): void {
  const { environmentId } = requester.device;
  const known = state.pending.ofConversation(environmentId, conversation);
  state.unread.drop(environmentId, conversation, isOfTurn);
  const others = known.filter((entry) => !isOfTurn(entry));
  state.enforcement.keepOnly(
    environmentId,
    conversation,
    new Set(others.map(({ approval }) => approval.request.toolCallId)),
  );
  for (const entry of known.filter(isOfTurn)) {
    updateSentDecision(entry, { isTurnOver: true });
    handleWithdrawal(state, requester, entry);
  }
}

function receiveList(
  state: ApprovalState,
  requester: ApprovalDevice,
  conversation: Conversation,
  listed: readonly ApprovalRequest[],
): void {
  const { environmentId } = requester.device;
  const ids = new Set(listed.map(({ toolCallId }) => toolCallId));
  state.enforcement.keepOnly(environmentId, conversation, ids);
  state.withheld.keepOnly(environmentId, conversation, ids);
  state.askedUntracked.keepOnly(environmentId, conversation, ids);
  state.unread.drop(environmentId, conversation, ({ key }) => !ids.has(key.toolCallId));
  const known = state.pending.ofConversation(environmentId, conversation);
  // The usual status lists nothing, and nothing was pending.
  if (listed.length === 0 && known.length === 0) return;
  const missing = known.filter(({ approval }) => !ids.has(approval.request.toolCallId));
  for (const entry of missing) handleWithdrawal(state, requester, entry);
  const looking = withMessagesOf(state, environmentId, conversation);
  for (const asked of listed) request(looking, requester, conversation, asked, { hasRequestFrame: false });
}

/** The messages of a row have been read: applies the policies to the requests that were held meanwhile, and to those whose message is not known. */
export function releaseHeld(state: ApprovalState, requester: ApprovalDevice): void {
  const { environmentId } = requester.device;
  const held = state.unread.delete(environmentId);
  for (const { key, request: asked, ...asking } of held) request(state, requester, key.scope, asked, asking);
  for (const entry of state.pending.ofEnvironment(environmentId))
    if (entry.approval.messageId === null && entry.sent === null) updateTrigger(state, requester, entry);
}

/** Nobody may decide on a request for now. */
function withhold({ withheld, unread }: ApprovalState, held: HeldRequest): void {
  withheld.add(held.key);
  unread.hold(held);
}

/** `hasRequestFrame`: the device asks in a frame. Otherwise its status lists the request. `requestedAt`: default is now. */
function request(
  state: ApprovalState,
  requester: ApprovalDevice,
  conversation: Conversation,
  asked: ApprovalRequest,
  {
    hasRequestFrame,
    requestedAt = state.wallNow(),
  }: { readonly hasRequestFrame: boolean; readonly requestedAt?: number },
): void {
  const scope = { environmentId: requester.device.environmentId, ...conversation };
  // A device that asked too often has been disconnected meanwhile, and asks again.
  if (state.devices.get(scope.environmentId) !== requester) return;
  const known = state.pending.find({ scope, toolCallId: asked.toolCallId });
  if (known === undefined) return requestNew(state, requester, scope, asked, { hasRequestFrame, requestedAt });
  const report: ReportedRequest = { request: asked, hasRequestFrame: hasRequestFrame || known.hasRequestFrame };
  if (known.sent === null && !asksForTheSame(known.approval.request, asked))
    return replace(state, requester, known, report);
  // Its turn runs, or the device asks again in another one.
  updateSentDecision(known, { isTurnOver: false, isWithdrawn: false, replacement: replacementBy(known, report) });
  updatePolicy(state, requester, known);
  if (known.sent === null && !known.isReported) reportRequested(state, known);
  state.enforcement.apply(known);
  if (hasRequestFrame && (known.sent?.replacement ?? null) === null) markRequestFrame(state, requester, known);
}

/** Whether two reports ask for the same thing. Either may omit the input or the lasting permissions, and the reason may be worded differently. */
function asksForTheSame(known: ApprovalRequest, asked: ApprovalRequest): boolean {
  const [before, now] = [known, asked].map(({ tool, input, isInputCut, suggestions }) => ({
    tool,
    ...((asked.input !== null || asked.isInputCut) && { input, isInputCut }),
    ...(asked.suggestions.length > 0 && { suggestions }),
  }));
  // A repeated list usually has the same text. Sorting the members takes much longer.
  return JSON.stringify(before) === JSON.stringify(now) || canonicalJson(before) === canonicalJson(now);
}

/** Returns what the device asks for instead of a request whose decision was sent; `null` if there is nothing else. */
function replacementBy({ approval, sent }: PendingApproval, report: ReportedRequest): ReportedRequest | null {
  if (sent === null) return null;
  const { replacement } = sent;
  if (replacement !== null && asksForTheSame(replacement.request, report.request))
    return { ...replacement, hasRequestFrame: replacement.hasRequestFrame || report.hasRequestFrame };
  return asksForTheSame(approval.request, report.request) ? null : report;
}

/**
 * The device asks for something else under a pending id. The turn is the same, so its policies still apply. The new request gets a later
 * `requestedAt`, so that a decision on the earlier request does not apply to it.
 */
export function replace(
  state: ApprovalState,
  requester: ApprovalDevice,
  entry: PendingApproval,
  { request: asked, hasRequestFrame }: ReportedRequest,
): void {
  const { approval } = entry;
  const requestedAt = Math.max(state.wallNow(), approval.requestedAt + 1);
  const made = { ...approval, request: asked, requestedAt };
  entry.hasRequestFrame ||= hasRequestFrame;
  const trigger = triggerOfNew(state, requester, made, entry.hasRequestFrame);
  if (trigger === null) {
    withdraw(state, requester.device, entry);
    return withhold(state, {
      key: keyOf(approval),
      request: asked,
      requestedAt,
      hasRequestFrame: entry.hasRequestFrame,
    });
  }
  const messageId = trigger.messageId ?? approval.messageId;
  entry.approval = { ...made, messageId, expiry: earlierExpiry(approval.expiry, trigger.expiry) };
  entry.cursor = { ...entry.cursor, requestedAt };
  entry.sequence = ++state.sequence.last;
  state.writer.save(entry.approval);
  state.emit({ type: "approval_requested", ...requester.device, toolCallId: asked.toolCallId, tool: asked.tool });
  reportRequested(state, entry);
  if (entry.approval.expiry !== approval.expiry) {
    state.enforcement.cancel(entry);
    state.enforcement.schedule(entry);
  }
  state.enforcement.apply(entry);
  requester.countRequest();
}

/** A deadline does not begin again. The denial of an earlier tool does not apply to another one. */
function earlierExpiry(before: StoredApproval["expiry"], now: StoredApproval["expiry"]): StoredApproval["expiry"] {
  if (before?.policy !== "deadline") return now;
  return now === null || before.at <= now.at ? before : now;
}

/** Adds a request that is not pending. */
export function requestNew(
  state: ApprovalState,
  requester: ApprovalDevice,
  scope: ConversationScope,
  asked: ApprovalRequest,
  { hasRequestFrame, requestedAt }: { readonly hasRequestFrame: boolean; readonly requestedAt: number },
): void {
  const { enforcement, incomplete, withheld } = state;
  const { environmentId, tenant } = requester.device;
  const key = { scope, toolCallId: asked.toolCallId };
  const made = { tenant, scope, request: asked, requestedAt, decision: null };
  const trigger = triggerOfNew(state, requester, made, hasRequestFrame);
  if (trigger === null) return withhold(state, { key, request: asked, requestedAt, hasRequestFrame });
  withheld.delete(key);
  const approval = { ...made, ...trigger };
  const entry = add(state, approval, requester.owner);
  if (entry === null) {
    incomplete.add(environmentId);
    if (hasRequestFrame) state.askedUntracked.add(key);
    return enforcement.applyUntracked(approval, (denied, outcome) => {
      const { expiry } = denied;
      if (state.devices.get(environmentId) === requester) requester.countRequest();
      if (expiry !== null)
        emitDecided(state, requester, denied, { behavior: "deny", decidedBy: policyActor(expiry.policy), outcome });
    });
  }
  entry.hasRequestFrame = hasRequestFrame;
  state.writer.save(approval);
  state.emit({ type: "approval_requested", ...requester.device, toolCallId: asked.toolCallId, tool: asked.tool });
  reportRequested(state, entry);
  for (const end of state.waiters.of(serialiseKey(key))) end();
  enforcement.apply(entry);
  requester.countRequest();
}

/** The device asks in the turn that runs. Until then, a status may have listed the request during an earlier turn. */
function markRequestFrame(state: ApprovalState, requester: ApprovalDevice, entry: PendingApproval): void {
  if (entry.hasRequestFrame) return;
  entry.hasRequestFrame = true;
  if (entry.sent === null) updateTrigger(state, requester, entry);
}

/** Reports a request of this process, or one that was read from the store and for which its device asks again. */
function reportRequested({ onChange }: ApprovalState, entry: PendingApproval): void {
  entry.isReported = true;
  onChange("requested", entry.approval);
}

/** The device no longer asks. */
function handleWithdrawal(state: ApprovalState, { device }: ApprovalDevice, entry: PendingApproval): void {
  if (entry.sent === null) return withdraw(state, device, entry);
  // The outcome of the decision follows.
  updateSentDecision(entry, { isWithdrawn: true });
  state.onWithdrawnAfterDecision(device.environmentId, entry.sent.deliveryId, entry.sent.isTurnOver);
}

function updateSentDecision(
  entry: PendingApproval,
  change: Partial<Omit<SentDecision, "deliveryId" | "decision">>,
): void {
  if (entry.sent !== null) entry.sent = { ...entry.sent, ...change };
}

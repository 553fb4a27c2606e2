/**
 * Finds the trigger of a request for permission: the message whose turn makes the request, with the policies that apply. A frame in which a device
 * asks comes after the ends of earlier turns, so it identifies the turn. A status that lists the request can be early, and does not. Until the device
 * asks in a frame, only the policy of the device's own key applies.
 */
import { type ApprovalKey, keyOf, type StoredApproval } from "../approval-log.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { PendingApproval } from "./pending.ts";
import { expiryOf } from "./policy.ts";
import type { ApprovalDevice, ApprovalState } from "./state.ts";

/** The message of a request, as far as it is known, and when a policy denies it. */
type Trigger = Pick<StoredApproval, "messageId" | "expiry">;

/** Whether the turn of a request is known: its device has asked in a frame, or never does. */
function isTurnKnown(
  { askedUntracked }: Pick<ApprovalState, "askedUntracked">,
  { asksInFrames }: ApprovalDevice,
  key: ApprovalKey,
  hasRequestFrame: boolean,
): boolean {
  return hasRequestFrame || !asksInFrames() || askedUntracked.has(key);
}

/**
 * Returns the trigger of a new request. Returns `null` if its turn is not known and may be one whose policy denies the tool: nobody may allow such a
 * request, so it is not pending before its device asks in a frame, and not before the messages of its row have been read.
 */
export function triggerOfNew(
  state: ApprovalState,
  requester: ApprovalDevice,
  { scope, request: { tool, toolCallId }, requestedAt }: Pick<StoredApproval, "scope" | "request" | "requestedAt">,
  hasRequestFrame: boolean,
): Trigger | null {
  const { triggerOf, policiesOf } = state;
  const isUnread = state.unread.has(scope.environmentId);
  const isKnown = !isUnread && isTurnKnown(state, requester, { scope, toolCallId }, hasRequestFrame);
  const { messageId, policies } = isKnown ? triggerOf(scope.environmentId, scope) : { messageId: null, policies: [] };
  const expiry = expiryOf([requester.policy, ...policies], tool, requestedAt);
  if (isKnown || expiry?.policy === "denied_tool") return { messageId, expiry };
  if (isUnread) return null;
  const possible = expiryOf(policiesOf(scope.environmentId, scope), tool, requestedAt);
  return possible?.policy === "denied_tool" ? null : { messageId, expiry };
}

/** Returns a state that looks up the messages of this conversation once, for a report about many of its requests. */
export function withMessagesOf(state: ApprovalState, environmentId: string, conversation: Conversation): ApprovalState {
  let trigger: ReturnType<ApprovalState["triggerOf"]> | undefined;
  let policies: ReturnType<ApprovalState["policiesOf"]> | undefined;
  return {
    ...state,
    triggerOf: () => (trigger ??= state.triggerOf(environmentId, conversation)),
    policiesOf: () => (policies ??= state.policiesOf(environmentId, conversation)),
  };
}

/**
 * A device that reconnects names its pending requests before the run with the message. When the messages of the turn become known, the policies
 * of their senders apply to them, too.
 */
export function updateTriggers(state: ApprovalState, requester: ApprovalDevice, conversation: Conversation): void {
  const { environmentId } = requester.device;
  const looking = withMessagesOf(state, environmentId, conversation);
  for (const entry of state.pending.ofConversation(environmentId, conversation))
    if (entry.approval.messageId === null && entry.sent === null) updateTrigger(looking, requester, entry);
}

/** Adds what is now known about the turn of a request. Its deadline can only become earlier. */
export function updateTrigger(state: ApprovalState, requester: ApprovalDevice, entry: PendingApproval): void {
  if (!isTurnKnown(state, requester, keyOf(entry.approval), entry.hasRequestFrame)) return;
  const { approval } = entry;
  const { messageId, policies } = state.triggerOf(requester.device.environmentId, approval.scope);
  const found = expiryOf([requester.policy, ...policies], approval.request.tool, approval.requestedAt);
  adoptTrigger(state, entry, found, messageId ?? approval.messageId);
}

/**
 * Applies the present policy of a device's key to a pending request, because it may have changed while the device was disconnected. Only a stricter
 * policy takes effect: the policies of the turn's senders still apply, even while the senders are not known.
 */
export function updatePolicy(state: ApprovalState, requester: ApprovalDevice, entry: PendingApproval): void {
  const { messageId, request, requestedAt } = entry.approval;
  if (entry.sent === null)
    adoptTrigger(state, entry, expiryOf([requester.policy], request.tool, requestedAt), messageId);
}

/** Updates a request if its message is another one, or if it is now denied earlier. */
function adoptTrigger(
  state: ApprovalState,
  entry: PendingApproval,
  found: StoredApproval["expiry"],
  messageId: StoredApproval["messageId"],
): void {
  const { enforcement, writer } = state;
  const { approval } = entry;
  const isEarlier = found !== null && (approval.expiry === null || found.at < approval.expiry.at);
  if (!isEarlier && messageId === approval.messageId) return;
  entry.approval = { ...approval, messageId, expiry: isEarlier ? found : approval.expiry };
  writer.save(entry.approval);
  // One that is not reported yet is reported when its device asks.
  if (entry.isReported) state.onChange("requested", entry.approval);
  if (!isEarlier) return;
  enforcement.cancel(entry);
  enforcement.schedule(entry);
  enforcement.apply(entry);
}

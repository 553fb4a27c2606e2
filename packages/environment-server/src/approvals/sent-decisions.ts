/**
 * Notes on decisions that are sent to devices, from the reservation of a send until it has an outcome, or until it turns out that nothing was sent. Which
 * decisions are permitted is checked in `operations/approvals/decisions.ts`.
 */
import type { ApprovalKey, Decision } from "../approval-log.ts";
import type { DeliveryOutcome } from "../ports.ts";
import { updateCause } from "./causes.ts";
import { replace, requestNew } from "./reports.ts";
import { type ApprovalState, emitDecided, remove, withdraw } from "./state.ts";

/** A decision is about to be sent: its request is no longer pending. */
export function noteReserved(
  { pending, writer }: ApprovalState,
  key: ApprovalKey,
  deliveryId: string,
  decision: Decision,
): void {
  const entry = pending.find(key);
  if (entry === undefined) return;
  entry.sent = { deliveryId, decision, isTurnOver: false, isGone: false, replacement: null };
  void writer.saveNow({ ...entry.approval, decision });
}

/** A decision was not sent. Its request is pending again, unless the device has stopped asking meanwhile. */
export function noteUnsent(state: ApprovalState, environmentId: string, deliveryId: string): void {
  const { pending, devices, writer, enforcement } = state;
  const entry = pending.findSent(environmentId, deliveryId);
  if (entry === undefined || entry.sent === null) return;
  const { isGone, replacement } = entry.sent;
  const row = devices.get(environmentId);
  entry.sent = null;
  void writer.saveNow(entry.approval);
  if (isGone) return withdraw(state, row?.device, entry);
  if (replacement !== null && row !== undefined) return replace(state, row, entry, replacement);
  // Policies left the request alone while it was decided.
  if (row !== undefined) updateCause(state, row, entry);
  enforcement.apply(entry);
}

/** The send of a decision has an outcome. No effect for any other send. */
export function noteOutcome(
  state: ApprovalState,
  environmentId: string,
  deliveryId: string,
  outcome: DeliveryOutcome,
): void {
  const entry = state.pending.findSent(environmentId, deliveryId);
  if (entry === undefined || entry.sent === null) return;
  const { approval, sent } = entry;
  const { decision, replacement, isGone } = sent;
  remove(state, entry);
  const row = state.devices.get(environmentId);
  if (outcome.kind === "rejected") {
    // The decision had no effect, and the device no longer asks.
    void state.writer.saveNow(approval);
    state.writer.remove(approval);
    state.onChange("withdrawn", approval);
  } else {
    const { behavior, decidedBy } = decision;
    if (row !== undefined) emitDecided(state, row, approval, { behavior, decidedBy, outcome: outcome.kind });
    state.onChange("decided", { ...approval, decision });
  }
  if (replacement === null || isGone || row === undefined) return;
  const requestedAt = Math.max(state.wallNow(), approval.requestedAt + 1);
  requestNew(state, row, approval.scope, replacement.request, { isAsked: replacement.isAsked, requestedAt });
}

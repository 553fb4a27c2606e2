/**
 * Follows the requests for permission of every device: from its reports into memory and the store, until they are decided here or
 * the device no longer lists them. A policy that denies a request acts when the request is known, or at its deadline. Pending requests
 * survive a restart of the server, and a device that reconnects is asked about them.
 */
import type { Clock, Sha256 } from "@letta-environments/platform";
import type { ApprovalPolicy } from "@letta-environments/schema";
import type { ApprovalKey, ApprovalLog, ApprovalRequest, Decision, StoredApproval } from "../approval-log.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import type { DeviceReference, EmitEvent } from "../events.ts";
import { maxApprovals, maxWaitingDenials } from "../limits.ts";
import type { DeliveryOutcome } from "../ports.ts";
import { createPolicyEnforcement, type PolicyEnforcement } from "./enforcement.ts";
import { expiryOf, policyActor } from "./policy.ts";
import { type PendingApprovals, createPendingApprovals, keyOf, keyText, type PendingApproval } from "./pending.ts";
import type { DenialResult } from "./untracked.ts";
import { createRequestWaiters, type RequestWaiters } from "./waiters.ts";
import { type ApprovalWriter, createApprovalWriter } from "./writer.ts";

/**
 * A change of the requests. `requested`: a device asks, or the message or the expiry of a pending request has become known. `withdrawn`: nobody decided here,
 * and the device no longer asks, or the request was given up because there are too many.
 */
export interface ApprovalChange {
  readonly change: "requested" | "decided" | "withdrawn";
  readonly approval: StoredApproval;
}

/** A connected device. */
export interface ApprovalDevice {
  readonly device: DeviceReference;
  /** Devices of one owner share a limit. */
  readonly owner: string;
  /** Policy of the key with which the device connected. */
  readonly policy: ApprovalPolicy | null;
}

/** The requests for permission of every device. */
export interface ApprovalTracker {
  connect(device: ApprovalDevice): void;
  disconnect(environmentId: string): void;
  /** Resolves with the conversations of a row that have pending requests. */
  resume(environmentId: string): Promise<readonly Conversation[]>;
  receive(environmentId: string, frame: TurnFrame | StatusFrame): void;
  /** A pending request; `null` when it is decided or not known. */
  find(key: ApprovalKey): StoredApproval | null;
  /** Whether every request of a connected row is known. Otherwise its device decides which decisions it takes. */
  isComplete(environmentId: string): boolean;
  /** Resolves when a request is pending, or when the wait is over; see {@link RequestWaiters}. */
  whenPending(key: ApprovalKey): Promise<void>;
  /** A decision is about to be sent. Call it together with the reservation of its send, so that they are stored together. */
  decide(key: ApprovalKey, deliveryId: string, decision: Decision): void;
  /** Nothing of the decision was sent. */
  undecide(environmentId: string, deliveryId: string): void;
  /** Takes the outcome of a send. */
  settle(environmentId: string, deliveryId: string, outcome: DeliveryOutcome): void;
  /** A request with its decision; `null` when it has none, or when it is forgotten. */
  findDecided(key: ApprovalKey): Promise<StoredApproval | null>;
  /** The pending requests of a tenant, the oldest first. */
  list(tenant: string): Promise<readonly PendingApproval[]>;
  /** The pending requests of a row. */
  pendingOf(environmentId: string): readonly StoredApproval[];
  /** Forgets the requests of a row that was removed. */
  forget(environmentId: string): void;
  /** Calls `listener` with every change. Returns a function that stops it. */
  onChange(listener: (change: ApprovalChange) => void): () => void;
  /** Resolves when everything is stored. */
  close(): Promise<void>;
}

/** Dependencies of an {@link ApprovalTracker}. */
export interface ApprovalTrackerOptions {
  readonly clock: Clock;
  readonly sha256: Sha256;
  readonly log: ApprovalLog;
  readonly emit: EmitEvent;
  /** Wall time. */
  readonly wallNow: () => number;
  /** The latest message of the turn that runs in a conversation, and the policies of all its senders. */
  readonly causeOf: (
    environmentId: string,
    runtime: Conversation,
  ) => { readonly messageId: string | null; readonly policies: readonly ApprovalPolicy[] };
  /** Denies a request that a policy denies now. Never rejects. */
  readonly deny: (approval: StoredApproval) => Promise<DenialResult>;
  /** A device no longer lists a request whose decision was sent: it has taken it, or the turn is over and ended with it or without. */
  readonly onGone: (environmentId: string, deliveryId: string, isTurnOver: boolean) => void;
}

interface Tracker extends ApprovalTrackerOptions {
  readonly pending: PendingApprovals;
  readonly writer: ApprovalWriter;
  readonly enforcement: PolicyEnforcement;
  readonly waiters: RequestWaiters;
  /** Connected devices by their rows. */
  readonly devices: Map<string, ApprovalDevice>;
  /** Rows with requests beyond a limit. */
  readonly incomplete: Set<string>;
  readonly listeners: Set<(change: ApprovalChange) => void>;
}

/** Creates an {@link ApprovalTracker}. */
export function createApprovalTracker(options: ApprovalTrackerOptions): ApprovalTracker {
  const devices = new Map<string, ApprovalDevice>();
  const isConnected = (environmentId: string): boolean => devices.has(environmentId);
  const tracker: Tracker = {
    ...options,
    devices,
    pending: createPendingApprovals({ giveUp: (entry) => giveUp(tracker, entry) }),
    writer: createApprovalWriter(options),
    enforcement: createPolicyEnforcement({ ...options, isConnected, onDropped: reportDropped(options.emit) }),
    waiters: createRequestWaiters(options.clock),
    incomplete: new Set(),
    listeners: new Set(),
  };
  const { pending, writer, enforcement, waiters, incomplete, listeners } = tracker;
  const loaded = load(tracker);
  return {
    connect(row) {
      devices.set(row.device.environmentId, row);
      incomplete.delete(row.device.environmentId);
      pending.setConnected(row.device.environmentId, true);
    },
    disconnect(environmentId) {
      devices.delete(environmentId);
      enforcement.disconnect(environmentId);
      pending.setConnected(environmentId, false);
    },
    async resume(environmentId) {
      await loaded;
      return pending.ofRow(environmentId).map(({ approval }) => approval.scope);
    },
    receive: (environmentId, frame) => receive(tracker, environmentId, frame),
    find(key) {
      const entry = pending.find(key);
      return entry === undefined || entry.sent !== null ? null : entry.approval;
    },
    isComplete: (environmentId) => !incomplete.has(environmentId),
    whenPending: (key) => (pending.find(key) === undefined ? waiters.wait(keyText(key)) : Promise.resolve()),
    decide(key, deliveryId, decision) {
      const entry = pending.find(key);
      if (entry === undefined) return;
      entry.sent = { deliveryId, decision, isTurnOver: false };
      void writer.saveNow({ ...entry.approval, decision });
    },
    undecide(environmentId, deliveryId) {
      const entry = pending.findSent(environmentId, deliveryId);
      if (entry === undefined) return;
      entry.sent = null;
      void writer.saveNow(entry.approval);
    },
    settle: (environmentId, deliveryId, outcome) => settle(tracker, environmentId, deliveryId, outcome),
    async findDecided(key) {
      const { approval, sent = null } = pending.find(key) ?? {};
      if (approval !== undefined && sent !== null) return { ...approval, decision: sent.decision };
      const unsaved = writer.unsaved(key);
      if (unsaved === undefined) return options.log.findDecidedApproval(key);
      return unsaved.decision === null ? null : unsaved;
    },
    async list(tenant) {
      await loaded;
      return pending.ofTenant(tenant);
    },
    pendingOf: (environmentId) =>
      pending.ofRow(environmentId).flatMap(({ approval, sent }) => (sent === null ? [approval] : [])),
    forget(environmentId) {
      for (const entry of pending.ofRow(environmentId)) remove(tracker, entry);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    async close() {
      enforcement.close();
      await loaded;
      await writer.close();
    },
  };
}

function reportDropped(emit: EmitEvent): (environmentId: string) => void {
  return (environmentId) => {
    const text = `more than ${maxWaitingDenials} denials wait for the device of '${environmentId}'; it must ask again`;
    emit({ type: "request_failed", operation: "denyByPolicy", cause: new Error(text) });
  };
}

/** Reads what an earlier process has stored. */
async function load(tracker: Tracker): Promise<void> {
  try {
    for (const approval of await tracker.log.findPendingApprovals(maxApprovals)) {
      if (tracker.pending.find(keyOf(approval)) === undefined)
        add(tracker, approval, JSON.stringify([approval.tenant]));
    }
  } catch (cause) {
    tracker.emit({ type: "store_failed", operation: "findPendingApprovals", cause });
  }
}

function add({ pending, enforcement, sha256 }: Tracker, approval: StoredApproval, owner: string) {
  const entry = pending.add(approval, owner, sha256(keyText(keyOf(approval))).slice(0, cursorDigestLength));
  if (entry !== null) enforcement.schedule(entry);
  return entry;
}

/** Enough that two requests of one millisecond differ. */
const cursorDigestLength = 24;

function remove({ pending, enforcement }: Tracker, entry: PendingApproval): void {
  enforcement.cancel(entry);
  pending.remove(entry);
}

function report({ listeners }: Tracker, change: ApprovalChange["change"], approval: StoredApproval): void {
  for (const listener of listeners) listener({ change, approval });
}

function receive(tracker: Tracker, environmentId: string, frame: TurnFrame | StatusFrame): void {
  const row = tracker.devices.get(environmentId);
  if (row === undefined || frame.runtime === null) return;
  switch (frame.kind) {
    case "control_request":
      request(tracker, row, frame.runtime, frame.request);
      return noteAsked(tracker, row, {
        scope: { environmentId, ...frame.runtime },
        toolCallId: frame.request.toolCallId,
      });
    case "update_device_status":
      return frame.pending === null ? undefined : receiveList(tracker, row, frame.runtime, frame.pending);
    case "update_loop_status":
      return frame.activity === "idle"
        ? receiveEnd(tracker, row, frame.runtime, () => true)
        : noteCause(tracker, row, frame.runtime);
    case "turn_finished":
      // What only a status has listed can be a request of the next turn.
      return receiveEnd(tracker, row, frame.runtime, ({ isAsked }) => isAsked);
    case "update_queue":
    case "assistant_text":
    case "loop_error":
  }
}

/** The device asks in the turn that runs. Until then, a status may have listed the request during an earlier turn. */
function noteAsked(tracker: Tracker, row: ApprovalDevice, key: ApprovalKey): void {
  const entry = tracker.pending.find(key);
  if (entry === undefined || entry.isAsked) return;
  entry.isAsked = true;
  if (entry.sent === null) updateCause(tracker, row, entry);
}

/** No request of a turn is pending when it is over. */
function receiveEnd(
  tracker: Tracker,
  row: ApprovalDevice,
  runtime: Conversation,
  isOfTurn: (entry: PendingApproval) => boolean,
): void {
  const { environmentId } = row.device;
  const known = tracker.pending.ofConversation(environmentId, runtime);
  const others = known.filter((entry) => !isOfTurn(entry));
  tracker.enforcement.keepOnly(
    environmentId,
    runtime,
    new Set(others.map(({ approval }) => approval.request.toolCallId)),
  );
  for (const entry of known.filter(isOfTurn)) {
    noteTurn(entry, { isOver: true });
    withdraw(tracker, row, entry);
  }
}

function noteTurn(entry: PendingApproval, { isOver: isTurnOver }: { readonly isOver: boolean }): void {
  if (entry.sent !== null) entry.sent = { ...entry.sent, isTurnOver };
}

function receiveList(
  tracker: Tracker,
  row: ApprovalDevice,
  runtime: Conversation,
  listed: readonly ApprovalRequest[],
): void {
  const { environmentId } = row.device;
  const ids = new Set(listed.map(({ toolCallId }) => toolCallId));
  tracker.enforcement.keepOnly(environmentId, runtime, ids);
  const known = tracker.pending.ofConversation(environmentId, runtime);
  // The usual status lists nothing, and nothing was pending.
  if (listed.length === 0 && known.length === 0) return;
  const gone = known.filter(({ approval }) => !ids.has(approval.request.toolCallId));
  for (const entry of gone) withdraw(tracker, row, entry);
  for (const asked of listed) request(tracker, row, runtime, asked);
}

function request(tracker: Tracker, row: ApprovalDevice, runtime: Conversation, asked: ApprovalRequest): void {
  const { pending, enforcement, writer, waiters, incomplete, emit } = tracker;
  const { environmentId, tenant } = row.device;
  const key = { scope: { environmentId, ...runtime }, toolCallId: asked.toolCallId };
  const known = pending.find(key);
  if (known !== undefined) {
    // Its turn runs, or the device asks again in another one.
    noteTurn(known, { isOver: false });
    return enforcement.apply(known);
  }
  const requestedAt = tracker.wallNow();
  const { messageId, policies } = tracker.causeOf(environmentId, runtime);
  const expiry = expiryOf([row.policy, ...policies], asked.tool, requestedAt);
  const approval = { tenant, scope: key.scope, request: asked, messageId, requestedAt, expiry, decision: null };
  const entry = add(tracker, approval, row.owner);
  if (entry === null) {
    incomplete.add(environmentId);
    return enforcement.applyUntracked(approval, (denied, outcome) => {
      const { expiry } = denied;
      if (expiry !== null)
        emitDecided(tracker, row, denied, { behavior: "deny", decidedBy: policyActor(expiry.policy), outcome });
    });
  }
  writer.save(approval);
  emit({ type: "approval_requested", ...row.device, toolCallId: asked.toolCallId, tool: asked.tool });
  report(tracker, "requested", approval);
  waiters.notify(keyText(key));
  enforcement.apply(entry);
}

/**
 * A device that reconnects names its pending requests before the run with the message. When the messages of the turn become known, the policies
 * of their senders apply to them, too.
 */
function noteCause(tracker: Tracker, row: ApprovalDevice, runtime: Conversation): void {
  for (const entry of tracker.pending.ofConversation(row.device.environmentId, runtime))
    if (entry.approval.messageId === null && entry.sent === null) updateCause(tracker, row, entry);
}

function updateCause(tracker: Tracker, { device, policy }: ApprovalDevice, entry: PendingApproval): void {
  const { enforcement, writer } = tracker;
  const { approval } = entry;
  const { messageId, policies } = tracker.causeOf(device.environmentId, approval.scope);
  const found = expiryOf([policy, ...policies], approval.request.tool, approval.requestedAt);
  const isEarlier = found !== null && (approval.expiry === null || found.at < approval.expiry.at);
  if (!isEarlier && (messageId === null || messageId === approval.messageId)) return;
  const expiry = isEarlier ? found : approval.expiry;
  entry.approval = { ...approval, messageId: messageId ?? approval.messageId, expiry };
  writer.save(entry.approval);
  report(tracker, "requested", entry.approval);
  if (!isEarlier) return;
  enforcement.cancel(entry);
  enforcement.schedule(entry);
  enforcement.apply(entry);
}

/** A request was removed from memory to make room. It is no longer listed, and its device decides whether it takes a decision. */
function giveUp(tracker: Tracker, entry: PendingApproval): void {
  const { approval } = entry;
  const { environmentId } = approval.scope;
  tracker.enforcement.cancel(entry);
  tracker.writer.remove(approval);
  const row = tracker.devices.get(environmentId);
  if (row !== undefined) {
    tracker.incomplete.add(environmentId);
    tracker.emit({ type: "approval_withdrawn", ...row.device, toolCallId: approval.request.toolCallId });
  }
  report(tracker, "withdrawn", approval);
}

/** The device no longer lists a request. */
function withdraw(tracker: Tracker, { device }: ApprovalDevice, entry: PendingApproval): void {
  const { approval, sent } = entry;
  // Its outcome follows.
  if (sent !== null) return tracker.onGone(device.environmentId, sent.deliveryId, sent.isTurnOver);
  remove(tracker, entry);
  tracker.writer.remove(approval);
  tracker.emit({ type: "approval_withdrawn", ...device, toolCallId: approval.request.toolCallId });
  report(tracker, "withdrawn", approval);
}

function settle(tracker: Tracker, environmentId: string, deliveryId: string, outcome: DeliveryOutcome): void {
  const entry = tracker.pending.findSent(environmentId, deliveryId);
  if (entry === undefined || entry.sent === null) return;
  const { approval, sent } = entry;
  const { decision } = sent;
  remove(tracker, entry);
  if (outcome.kind === "rejected") {
    // The decision had no effect, and the device no longer asks.
    void tracker.writer.saveNow(approval);
    tracker.writer.remove(approval);
    return report(tracker, "withdrawn", approval);
  }
  const row = tracker.devices.get(environmentId);
  const { behavior, decidedBy } = decision;
  if (row !== undefined) emitDecided(tracker, row, approval, { behavior, decidedBy, outcome: outcome.kind });
  report(tracker, "decided", { ...approval, decision });
}

function emitDecided(
  { emit }: Tracker,
  { device }: ApprovalDevice,
  { scope: { agentId, conversationId }, request: { toolCallId, tool } }: StoredApproval,
  facts: Pick<Decision, "behavior" | "decidedBy"> & { readonly outcome: "accepted" | "unknown" },
): void {
  emit({ type: "approval_decided", ...device, agentId, conversationId, toolCallId, tool, ...facts });
}

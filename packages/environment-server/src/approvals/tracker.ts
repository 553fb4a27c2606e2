/**
 * Follows the requests for permission of every device: from its reports into memory and the store, until they are decided here or the
 * device no longer lists them. A policy that denies a request acts as soon as the request is known, or at its deadline. Pending
 * requests survive a restart of the server, and a device that reconnects is asked about them. Which decisions are permitted is checked in
 * `operations/approvals/decisions.ts`.
 */
import { type ApprovalKey, type Decision, keyOf, type StoredApproval } from "../approval-log.ts";
import { createGroups } from "../collections.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import type { EmitEvent } from "../log-events.ts";
import { maxApprovals, maxWaitingDenials } from "../limits.ts";
import type { DeliveryOutcome } from "../ports.ts";
import { updatePolicy, updateTrigger } from "./triggers.ts";
import { createPolicyEnforcement } from "./enforcement.ts";
import { refresh, release } from "./elsewhere.ts";
import { createPendingApprovals, type PendingApproval } from "./pending.ts";
import { receive, releaseHeld, replace, requestNew } from "./reports.ts";
import {
  add,
  type ApprovalDevice,
  type ApprovalState,
  type ApprovalTrackerOptions,
  emitDecided,
  remove,
  waitForRequest,
  withdraw,
} from "./state.ts";
import { createRequestSet, createUnreadRows } from "./not-pending.ts";
import { createApprovalWriter } from "./writer.ts";

export interface ApprovalTracker {
  /** `arePoliciesKnown`: the messages of its row were read before. Otherwise new requests are withheld until they have been read. */
  connect(device: ApprovalDevice, arePoliciesKnown: boolean): void;
  disconnect(environmentId: string): void;
  /** Resolves with the conversations of a row that have pending requests. */
  resume(environmentId: string): Promise<readonly Conversation[]>;
  /**
   * The messages of a row are being read, and with them the policies that apply to its requests. Returns a function to call when they have been read,
   * which has no effect if the device has reconnected since.
   */
  awaitMessages(environmentId: string): () => void;
  receive(environmentId: string, frame: TurnFrame | StatusFrame): void;
  /** A pending request; `null` when it is decided or not known. */
  find(key: ApprovalKey): StoredApproval | null;
  /** The sequence number of the latest request, for {@link requestedAtFor}. A count, not a time. */
  latestSequence(): number;
  /**
   * Returns `requestedAt` of the request that is pending under a key. If that request was made after this sequence number, returns a value that
   * no request has. Returns `null` if nothing is pending.
   */
  requestedAtFor(key: ApprovalKey, sequence: number): number | null;
  /** Whether every request of a connected row is known. Otherwise its device decides which decisions it takes. */
  isComplete(environmentId: string): boolean;
  /** Whether nobody may decide on a request before its device asks. */
  isWithheld(key: ApprovalKey): boolean;
  /** Resolves when a request is pending, or when the wait is over; see {@link waitForRequest}. */
  whenPending(key: ApprovalKey): Promise<void>;
  /** A decision is about to be sent. Call it together with the reservation of its send, so that they are stored together. */
  recordDecision(key: ApprovalKey, deliveryId: string, decision: Decision): void;
  /** Whether the device has asked for something else, under the same id, since the decision was reserved. */
  isReplaced(environmentId: string, deliveryId: string): boolean;
  /** The decision was not sent. */
  undoDecision(environmentId: string, deliveryId: string): void;
  /** A send has an outcome. */
  applyOutcome(environmentId: string, deliveryId: string, outcome: DeliveryOutcome): void;
  /** A request with its decision; `null` when it has none, or when it is forgotten. */
  findDecided(key: ApprovalKey): Promise<StoredApproval | null>;
  /** The pending requests of a tenant, the oldest first. */
  list(tenant: string): Promise<readonly PendingApproval[]>;
  /** The pending requests of a row. */
  pendingOf(environmentId: string): readonly StoredApproval[];
  /** The number of pending requests of all rows. */
  count(): number;
  /** Reads the requests of a row again; see {@link refresh}. */
  refresh(environmentId: string, owner: string): Promise<void>;
  /** The device of a row is connected to another server; see {@link release}. */
  release(environmentId: string): void;
  /** Forgets the requests of a row that was removed. */
  forget(environmentId: string): void;
  /** Resolves when everything is stored. */
  close(): Promise<void>;
}

/** No request has this time. */
const impossibleRequestedAt = -1;

export function createApprovalTracker(options: ApprovalTrackerOptions): ApprovalTracker {
  const state = createState(options);
  const { devices, pending, writer, enforcement, incomplete, withheld, unread, askedUntracked } = state;
  const loaded = load(state);
  return {
    connect(requester, arePoliciesKnown) {
      devices.set(requester.device.environmentId, requester);
      incomplete.delete(requester.device.environmentId);
      if (!arePoliciesKnown) unread.add(requester.device.environmentId);
      pending.setConnected(requester.device.environmentId, true);
      // Before the device asks again, so that nobody can allow what its new policy denies.
      for (const entry of pending.ofEnvironment(requester.device.environmentId)) updatePolicy(state, requester, entry);
    },
    disconnect(environmentId) {
      devices.delete(environmentId);
      enforcement.disconnect(environmentId);
      withheld.disconnect(environmentId);
      unread.delete(environmentId);
      askedUntracked.disconnect(environmentId);
      pending.setConnected(environmentId, false);
    },
    async resume(environmentId) {
      await loaded;
      return pending.ofEnvironment(environmentId).map(({ approval }) => approval.scope);
    },
    awaitMessages(environmentId) {
      const requester = devices.get(environmentId);
      return () => {
        if (requester !== undefined && devices.get(environmentId) === requester) releaseHeld(state, requester);
      };
    },
    receive: (environmentId, frame) => receive(state, environmentId, frame),
    find(key) {
      const entry = pending.find(key);
      return entry === undefined || entry.sent !== null ? null : entry.approval;
    },
    latestSequence: () => state.sequence.last,
    requestedAtFor(key, sequence) {
      const entry = pending.find(key);
      if (entry === undefined) return null;
      return entry.sequence > sequence ? impossibleRequestedAt : entry.approval.requestedAt;
    },
    isComplete: (environmentId) => !incomplete.has(environmentId),
    isWithheld: withheld.has,
    whenPending: (key) => (pending.find(key) === undefined ? waitForRequest(state, key) : Promise.resolve()),
    recordDecision: (key, deliveryId, decision) => recordDecision(state, key, deliveryId, decision),
    isReplaced(environmentId, deliveryId) {
      const replacement = pending.findSent(environmentId, deliveryId)?.sent?.replacement ?? null;
      return replacement !== null;
    },
    undoDecision: (environmentId, deliveryId) => undoDecision(state, environmentId, deliveryId),
    applyOutcome: (environmentId, deliveryId, outcome) => applyOutcome(state, environmentId, deliveryId, outcome),
    async findDecided(key) {
      const { approval, sent = null } = pending.find(key) ?? {};
      if (approval !== undefined && sent !== null) return { ...approval, decision: sent.decision };
      const unsaved = writer.unsavedApproval(key);
      if (unsaved === undefined) return options.log.findDecidedApproval(key);
      return unsaved.decision === null ? null : unsaved;
    },
    async list(tenant) {
      await loaded;
      return pending.ofTenant(tenant);
    },
    pendingOf: (environmentId) =>
      pending.ofEnvironment(environmentId).flatMap(({ approval, sent }) => (sent === null ? [approval] : [])),
    count: pending.countUndecided,
    refresh: (environmentId, owner) => loaded.then(() => refresh(state, environmentId, owner)),
    release: (environmentId) => release(state, environmentId),
    forget(environmentId) {
      for (const entry of pending.ofEnvironment(environmentId)) remove(state, entry);
    },
    async close() {
      enforcement.close();
      await loaded;
      await writer.close();
    },
  };
}

function createState(options: ApprovalTrackerOptions): ApprovalState {
  const devices = new Map<string, ApprovalDevice>();
  const isConnected = (environmentId: string): boolean => devices.has(environmentId);
  const state: ApprovalState = {
    ...options,
    devices,
    pending: createPendingApprovals({ onEvicted: (entry) => evict(state, entry) }),
    writer: createApprovalWriter(options),
    enforcement: createPolicyEnforcement({ ...options, isConnected, onDropped: reportDropped(options.emit) }),
    waiters: createGroups(),
    incomplete: new Set(),
    withheld: createRequestSet(),
    unread: createUnreadRows(),
    askedUntracked: createRequestSet(),
    sequence: { last: 0 },
  };
  return state;
}

/** A decision is about to be sent: its request is no longer pending. */
function recordDecision(
  { pending, writer }: ApprovalState,
  key: ApprovalKey,
  deliveryId: string,
  decision: Decision,
): void {
  const entry = pending.find(key);
  if (entry === undefined) return;
  entry.sent = { deliveryId, decision, isTurnOver: false, isWithdrawn: false, replacement: null };
  void writer.saveNow({ ...entry.approval, decision });
}

/** A decision was not sent. Its request is pending again, unless the device has stopped asking meanwhile. */
function undoDecision(state: ApprovalState, environmentId: string, deliveryId: string): void {
  const { pending, devices, writer, enforcement } = state;
  const entry = pending.findSent(environmentId, deliveryId);
  if (entry === undefined || entry.sent === null) return;
  const { isWithdrawn, replacement } = entry.sent;
  const requester = devices.get(environmentId);
  entry.sent = null;
  void writer.saveNow(entry.approval);
  if (isWithdrawn) return withdraw(state, requester?.device, entry);
  if (replacement !== null && requester !== undefined) return replace(state, requester, entry, replacement);
  // Policies left the request alone while it was decided.
  if (requester !== undefined) updateTrigger(state, requester, entry);
  enforcement.apply(entry);
}

/** The send of a decision has an outcome. No effect for any other send. */
function applyOutcome(state: ApprovalState, environmentId: string, deliveryId: string, outcome: DeliveryOutcome): void {
  const entry = state.pending.findSent(environmentId, deliveryId);
  if (entry === undefined || entry.sent === null) return;
  const { approval, sent } = entry;
  const { decision, replacement, isWithdrawn } = sent;
  remove(state, entry);
  const requester = state.devices.get(environmentId);
  if (outcome.kind === "rejected") {
    // The decision had no effect, and the device no longer asks.
    void state.writer.saveNow(approval);
    state.writer.remove(approval);
    state.onChange("withdrawn", approval);
  } else {
    const { behavior, decidedBy } = decision;
    if (requester !== undefined)
      emitDecided(state, requester, approval, { behavior, decidedBy, outcome: outcome.kind });
    state.onChange("decided", { ...approval, decision });
  }
  if (replacement === null || isWithdrawn || requester === undefined) return;
  const requestedAt = Math.max(state.wallNow(), approval.requestedAt + 1);
  requestNew(state, requester, approval.scope, replacement.request, {
    hasRequestFrame: replacement.hasRequestFrame,
    requestedAt,
  });
}

function reportDropped(emit: EmitEvent): (environmentId: string) => void {
  return (environmentId) => {
    const text = `more than ${maxWaitingDenials} denials wait for the device of '${environmentId}'; it must ask again`;
    emit({ type: "request_failed", operation: "denyByPolicy", cause: new Error(text) });
  };
}

/** Reads what an earlier process has stored. */
async function load(state: ApprovalState): Promise<void> {
  try {
    for (const approval of await state.log.findPendingApprovals(maxApprovals)) {
      if (state.pending.find(keyOf(approval)) === undefined) add(state, approval, JSON.stringify([approval.tenant]));
    }
  } catch (cause) {
    state.emit({ type: "store_failed", operation: "findPendingApprovals", cause });
  }
}

/** A request was removed from memory to make room. It is no longer listed, and its device decides whether it takes a decision. */
function evict(state: ApprovalState, entry: PendingApproval): void {
  const { environmentId } = entry.approval.scope;
  const requester = state.devices.get(environmentId);
  if (requester !== undefined) state.incomplete.add(environmentId);
  withdraw(state, requester?.device, entry);
}

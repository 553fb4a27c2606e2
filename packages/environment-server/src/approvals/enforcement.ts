/**
 * Denies requests for permission in the name of a policy: immediately, or when their deadline passes while their device is connected. A
 * request whose deadline passed before is denied when its device asks again, including after a restart of the gateway.
 *
 * There may be too many requests to remember all. Only a policy that denies its tool applies to a request that is not remembered: its deadline
 * cannot be kept. A denial of one for which the device has no room is repeated while the device is connected and asks.
 */
import type { Clock } from "@letta-environments/platform";
import { keyOf, serialiseKey, type StoredApproval } from "../approval-log.ts";
import { createGroups, type Groups } from "../collections.ts";
import { type Conversation, isSameConversation } from "../dialects/conversation.ts";
import { denialRetryMs, maxDenialRetryMs, maxWaitingDenials } from "../limits.ts";
import type { PendingApproval } from "./pending.ts";

/** The result of a denial. */
export type DenialResult =
  /** It was sent. The device has accepted it, or the outcome is unknown. */
  | "accepted"
  | "unknown"
  /** Nothing was sent. It may be repeated. */
  | "not_sent"
  /** This server failed. It may be repeated, but less and less often. */
  | "failed"
  /** The device has rejected it, or an earlier decision counts. A repeat would change nothing. */
  | "settled";

/** Receives a request that is not remembered, without its arguments after the first attempt, and the outcome of its denial. */
type OnDenied = (approval: StoredApproval, outcome: "accepted" | "unknown") => void;

export interface PolicyEnforcement {
  /** Denies a request at its deadline, if its device is connected then. From now on, the request is remembered. */
  schedule(entry: PendingApproval): void;
  /** Called each time a device asks. Denies the request if its deadline has passed; otherwise does nothing. */
  apply(entry: PendingApproval): void;
  /**
   * Immediately denies a request that is not remembered, if a policy denies its tool. Does nothing if its denial is already in progress. Calls `onSent`
   * when the denial was sent.
   */
  applyUntracked(approval: StoredApproval, onSent: OnDenied): void;
  /** A conversation asks only for these tool calls. */
  keepOnly(environmentId: string, conversation: Conversation, toolCallIds: ReadonlySet<string>): void;
  /** A device was disconnected. It asks again on its next socket, so denials of its requests that are not remembered are not repeated. */
  disconnect(environmentId: string): void;
  /** Forgets a request. */
  cancel(entry: PendingApproval): void;
  /** Stops all denials. */
  close(): void;
}

interface PolicyEnforcementOptions {
  readonly clock: Clock;
  readonly wallNow: () => number;
  readonly isConnected: (environmentId: string) => boolean;
  /** Never rejects. */
  readonly deny: (approval: StoredApproval) => Promise<DenialResult>;
  /**
   * There are too many denials to repeat one of a request that is not remembered. It starts again when the device asks again. Called once for a row
   * until none of its denials waits.
   */
  readonly onDropped: (environmentId: string) => void;
}

interface DenialTimer {
  /** In monotonic time, so that setting the clock does not move a deadline. */
  readonly dueMs: number;
  cancel: () => void;
}

/** A denial of a request that is not remembered. It runs, or waits for its next attempt. */
interface UntrackedDenial {
  approval: StoredApproval;
  /** Cancels the next attempt; `null` while one runs. */
  stop: (() => void) | null;
  /** Whether the device still asks, as far as it is known. */
  isStillRequested: boolean;
  failureCount: number;
}

interface State extends PolicyEnforcementOptions {
  /** The timer of each remembered request with a policy, even after it has fired. */
  readonly timers: Map<PendingApproval, DenialTimer>;
  /** Remembered requests that are being denied. */
  readonly running: Set<PendingApproval>;
  /** By row. */
  readonly untracked: Groups<UntrackedDenial>;
  /** Rows with a dropped denial. */
  readonly dropped: Set<string>;
  isClosed: boolean;
}

export function createPolicyEnforcement(options: PolicyEnforcementOptions): PolicyEnforcement {
  const untracked = createGroups<UntrackedDenial>(({ approval }) => serialiseKey(keyOf(approval)));
  const state: State = {
    ...options,
    timers: new Map(),
    running: new Set(),
    untracked,
    dropped: new Set(),
    isClosed: false,
  };
  const { timers, clock, wallNow } = state;
  return {
    schedule(entry) {
      const { approval } = entry;
      const denial = untracked.find(approval.scope.environmentId, serialiseKey(keyOf(approval)));
      if (denial !== undefined) end(state, denial);
      const { expiry, requestedAt } = approval;
      if (expiry === null || state.isClosed) return;
      // A clock that was ahead when it was stored does not make it wait longer.
      const delayMs = Math.max(0, expiry.at - Math.max(requestedAt, wallNow()));
      const timer: DenialTimer = { dueMs: clock.monotonic() + delayMs, cancel: () => undefined };
      timers.set(entry, timer);
      applyLater(state, entry, timer, delayMs);
    },
    apply: (entry) => apply(state, entry),
    applyUntracked(approval, onSent) {
      if (approval.expiry === null || approval.expiry.at > wallNow() || !mayDeny(state, approval)) return;
      const { environmentId } = approval.scope;
      const known = untracked.find(environmentId, serialiseKey(keyOf(approval)));
      if (known !== undefined) return void (known.isStillRequested = true);
      const denial: UntrackedDenial = { approval, stop: null, isStillRequested: true, failureCount: 0 };
      untracked.add(environmentId, denial);
      attempt(state, denial, onSent);
    },
    keepOnly(environmentId, conversation, toolCallIds) {
      for (const denial of untracked.of(environmentId)) {
        const { scope, request } = denial.approval;
        if (isSameConversation(scope, conversation) && !toolCallIds.has(request.toolCallId)) end(state, denial);
      }
    },
    disconnect(environmentId) {
      for (const denial of untracked.of(environmentId)) end(state, denial);
    },
    cancel(entry) {
      timers.get(entry)?.cancel();
      timers.delete(entry);
    },
    close() {
      state.isClosed = true;
      for (const { cancel } of timers.values()) cancel();
      timers.clear();
      for (const denial of untracked.names().flatMap(untracked.of)) end(state, denial);
    },
  };
}

function mayDeny({ isClosed, isConnected }: State, { scope }: StoredApproval): boolean {
  return !isClosed && isConnected(scope.environmentId);
}

function apply(state: State, entry: PendingApproval): void {
  const { timers, running, clock } = state;
  const { approval, sent } = entry;
  const timer = timers.get(entry);
  if (timer === undefined || timer.dueMs > clock.monotonic() || !mayDeny(state, approval)) return;
  if (sent !== null || running.has(entry)) return;
  running.add(entry);
  void state.deny(approval).finally(() => {
    running.delete(entry);
    // The device may have had too much to acknowledge. One that was disconnected asks again.
    const current = timers.get(entry);
    if (current !== undefined && entry.sent === null && mayDeny(state, approval))
      applyLater(state, entry, current, denialRetryMs);
  });
}

function applyLater(state: State, entry: PendingApproval, timer: DenialTimer, delayMs: number): void {
  timer.cancel();
  timer.cancel = state.clock.setTimer(delayMs, () => {
    // Timers can fire a moment before their time.
    const earlyMs = timer.dueMs - state.clock.monotonic();
    if (earlyMs > 0) applyLater(state, entry, timer, earlyMs);
    else apply(state, entry);
  });
}

function attempt(state: State, denial: UntrackedDenial, onSent: OnDenied): void {
  denial.stop = null;
  void state.deny(denial.approval).then((result) => {
    if (result === "accepted" || result === "unknown") onSent(denial.approval, result);
    const isRepeated = (result === "not_sent" || result === "failed") && denial.isStillRequested;
    if (result === "failed") denial.failureCount += 1;
    if (!isRepeated || !mayDeny(state, denial.approval) || !repeatLater(state, denial, onSent)) remove(state, denial);
  });
}

/** Returns whether there was room for it. */
function repeatLater(state: State, denial: UntrackedDenial, onSent: OnDenied): boolean {
  const { scope, request } = denial.approval;
  const waiting = state.untracked.of(scope.environmentId).filter(({ stop }) => stop !== null);
  if (waiting.length >= maxWaitingDenials) {
    if (!state.dropped.has(scope.environmentId)) state.onDropped(scope.environmentId);
    state.dropped.add(scope.environmentId);
    return false;
  }
  // A denial does not need the long parts of the request.
  denial.approval = { ...denial.approval, request: { ...request, input: null, suggestions: [] } };
  const pauseMs = denialRetryMs * 2 ** Math.max(0, denial.failureCount - 1);
  denial.stop = state.clock.setTimer(Math.min(pauseMs, maxDenialRetryMs), () => {
    if (mayDeny(state, denial.approval)) attempt(state, denial, onSent);
    else remove(state, denial);
  });
  return true;
}

/** A running attempt is not cancelled, but it is not repeated either. */
function end(state: State, denial: UntrackedDenial): void {
  denial.isStillRequested = false;
  if (denial.stop === null) return;
  denial.stop();
  remove(state, denial);
}

function remove({ untracked, dropped }: State, { approval }: UntrackedDenial): void {
  const { environmentId } = approval.scope;
  untracked.delete(environmentId, serialiseKey(keyOf(approval)));
  if (untracked.sizeOf(environmentId) === 0) dropped.delete(environmentId);
}

/**
 * Denies requests for permission that are not remembered, because there are too many. Only a policy that denies their tool applies to them: their
 * deadlines cannot be kept. A denial for which the device has no room is repeated while the device is connected and asks.
 */
import type { Clock } from "@letta-environments/platform";
import { keyOf, serialiseKey, type StoredApproval } from "../approval-log.ts";
import { type Conversation, isSameConversation } from "../dialects/conversation.ts";
import { createGroups, type Groups } from "../collections.ts";
import { denialRetryMs, maxDenialRetryMs, maxWaitingDenials } from "../limits.ts";

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

/** Receives a request, without its arguments after the first attempt, and the outcome of its denial. */
export type OnDenied = (approval: StoredApproval, outcome: "accepted" | "unknown") => void;

export interface UntrackedDenials {
  /** Denies a request. Does nothing if its denial is already in progress. Calls `onSent` when a denial was sent. */
  start(approval: StoredApproval, onSent: OnDenied): void;
  /** The request is remembered from now on. */
  cancel(approval: StoredApproval): void;
  /** A conversation asks only for these tool calls. */
  keepOnly(environmentId: string, conversation: Conversation, toolCallIds: ReadonlySet<string>): void;
  /** A device was disconnected. It asks again on its next socket. */
  cancelRow(environmentId: string): void;
  /** Stops all denials. */
  close(): void;
}

/** A denial that runs, or that waits for its next attempt. */
interface Denial {
  approval: StoredApproval;
  /** Cancels the next attempt; `null` while one runs. */
  stop: (() => void) | null;
  /** Whether the device still asks, as far as it is known. */
  isStillRequested: boolean;
  failureCount: number;
}

export interface UntrackedDenialsOptions {
  readonly clock: Clock;
  /** Never rejects. */
  readonly deny: (approval: StoredApproval) => Promise<DenialResult>;
  /** Whether the device of a request is connected. */
  readonly mayDeny: (approval: StoredApproval) => boolean;
  /**
   * There are too many denials to repeat this one. It starts again when the device asks again. Called once for a row until none of its
   * denials waits.
   */
  readonly onDropped: (environmentId: string) => void;
}

interface State extends UntrackedDenialsOptions {
  /** Rows with a dropped denial. */
  readonly dropped: Set<string>;
  readonly rows: Groups<Denial>;
}

export function createUntrackedDenials(options: UntrackedDenialsOptions): UntrackedDenials {
  const rows = createGroups<Denial>(({ approval }) => serialiseKey(keyOf(approval)));
  const state: State = { ...options, rows, dropped: new Set() };
  return {
    start(approval, onSent) {
      if (!options.mayDeny(approval)) return;
      const { environmentId } = approval.scope;
      const known = rows.find(environmentId, serialiseKey(keyOf(approval)));
      if (known !== undefined) return void (known.isStillRequested = true);
      const denial: Denial = { approval, stop: null, isStillRequested: true, failureCount: 0 };
      rows.add(environmentId, denial);
      attempt(state, denial, onSent);
    },
    cancel(approval) {
      const denial = rows.find(approval.scope.environmentId, serialiseKey(keyOf(approval)));
      if (denial !== undefined) end(state, denial);
    },
    keepOnly(environmentId, conversation, toolCallIds) {
      for (const denial of rows.of(environmentId)) {
        const { scope, request } = denial.approval;
        if (isSameConversation(scope, conversation) && !toolCallIds.has(request.toolCallId)) end(state, denial);
      }
    },
    cancelRow(environmentId) {
      for (const denial of rows.of(environmentId)) end(state, denial);
    },
    close() {
      for (const denial of rows.names().flatMap(rows.of)) end(state, denial);
    },
  };
}

function attempt(state: State, denial: Denial, onSent: OnDenied): void {
  denial.stop = null;
  void state.deny(denial.approval).then((result) => {
    if (result === "accepted" || result === "unknown") onSent(denial.approval, result);
    const isRepeated = (result === "not_sent" || result === "failed") && denial.isStillRequested;
    if (result === "failed") denial.failureCount += 1;
    if (!isRepeated || !state.mayDeny(denial.approval) || !repeatLater(state, denial, onSent)) remove(state, denial);
  });
}

/** Returns whether there was room for it. */
function repeatLater(state: State, denial: Denial, onSent: OnDenied): boolean {
  const { scope, request } = denial.approval;
  const waiting = state.rows.of(scope.environmentId).filter(({ stop }) => stop !== null);
  if (waiting.length >= maxWaitingDenials) {
    if (!state.dropped.has(scope.environmentId)) state.onDropped(scope.environmentId);
    state.dropped.add(scope.environmentId);
    return false;
  }
  // A denial does not need the long parts of the request.
  denial.approval = { ...denial.approval, request: { ...request, input: null, suggestions: [] } };
  const pauseMs = denialRetryMs * 2 ** Math.max(0, denial.failureCount - 1);
  denial.stop = state.clock.setTimer(Math.min(pauseMs, maxDenialRetryMs), () => {
    if (state.mayDeny(denial.approval)) attempt(state, denial, onSent);
    else remove(state, denial);
  });
  return true;
}

/** A running attempt is not cancelled, but it is not repeated either. */
function end(state: State, denial: Denial): void {
  denial.isStillRequested = false;
  if (denial.stop === null) return;
  denial.stop();
  remove(state, denial);
}

function remove({ rows, dropped }: State, { approval }: Denial): void {
  const { environmentId } = approval.scope;
  rows.delete(environmentId, serialiseKey(keyOf(approval)));
  if (rows.sizeOf(environmentId) === 0) dropped.delete(environmentId);
}

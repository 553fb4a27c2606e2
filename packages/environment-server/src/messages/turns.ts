/**
 * Which messages belong to which turn of a conversation. A message joins the turn that its acknowledgement says it started, the turn
 * that took it out of the queue, or the turn of the run that lists it. All messages of a turn share its outcome. A device runs one turn
 * at a time in a conversation.
 */
import type { Clock } from "@letta-environments/platform";
import type {
  LoopErrorFrame,
  LoopFrame,
  QueueFrame,
  StatusFrame,
  TurnFinishedFrame,
  TurnFrame,
} from "../dialects/frame.ts";
import { lateErrorMs, maxWaitingMessages } from "../limits.ts";
import type { TrackedSend } from "./followed.ts";
import type { ReplyCollector } from "./reply.ts";
import { type Evidence, unknownReason } from "./state-machine.ts";
import {
  firstRunOf,
  isInTurn,
  mayBeOfRun,
  markListed,
  openTurns,
  type SendProgress,
  type Runs,
  splitAtEnd,
} from "./turn-order.ts";

/** The turns of one conversation. */
export interface ConversationTurns {
  /** Adds a send whose turn is not known yet. Returns earlier sends with the same ids, which it replaces. */
  add(member: TrackedSend): readonly TrackedSend[];
  /** The device has started a turn with a send. */
  start(member: TrackedSend): void;
  /** The device was disconnected: text of the running turn may be missing, and the device will report its state again. */
  handleDisconnect(): void;
  /** Whether the device has reported an idle loop and its queue since then. It does not know the messages that neither report names. */
  reportedIdleAndQueue(): boolean;
  /** Forgets a send. */
  remove(member: TrackedSend): void;
  receive(frame: TurnFrame | StatusFrame): void;
  /** The sends of the turns that have begun and have not ended, the latest one last. */
  current(): readonly TrackedSend[];
  /** Ends a turn whose end waits for its reason, and frees memory. No frame may follow. */
  close(): void;
}

interface TurnsOptions {
  readonly clock: Pick<Clock, "monotonic" | "setTimer">;
  readonly reply: ReplyCollector;
  /** The device reports the end of each turn with its reason. Otherwise an idle loop is the end, and an error may follow it. */
  readonly reportsTurnEnds: boolean;
  readonly apply: (member: TrackedSend, evidence: Evidence) => void;
  /** Called when nothing more will become known about a send. */
  readonly release: (member: TrackedSend) => void;
}

const withoutReason = { stopReason: unknownReason, error: null, usage: null };

type End = Pick<TurnFinishedFrame, "error" | "usage"> & { readonly stopReason: string };

interface Send extends SendProgress {
  readonly member: TrackedSend;
  /** Its start was not reported, only that of a loop. */
  isStartInferred: boolean;
}

/** The end of a turn whose error may still follow. Its sends are those that ended without a reason. */
interface HeldEnd {
  readonly evidence: EndEvidence;
  readonly cancel: () => void;
}

type EndEvidence = Evidence & { readonly kind: "ended" };

interface State extends TurnsOptions {
  /** In the order in which they were sent. */
  readonly sends: Map<TrackedSend, Send>;
  readonly byMessage: Map<string, Send>;
  readonly reply: ReplyCollector;
  /** Sends of the last turn, if it ended without a reason. */
  endedWithoutReason: readonly Send[];
  heldEnd: HeldEnd | null;
  activity: LoopFrame["activity"];
  runs: Runs;
  /** When the current turn started; `null` if that was not seen. */
  startedAtMs: number | null;
  /** The last error of the current turn. */
  error: string | null;
  /** Since the device was disconnected. */
  hasReportedIdle: boolean;
  hasReportedQueue: boolean;
}

export function createConversationTurns(options: TurnsOptions): ConversationTurns {
  const state: State = {
    ...options,
    sends: new Map(),
    byMessage: new Map(),
    endedWithoutReason: [],
    heldEnd: null,
    activity: null,
    runs: [],
    startedAtMs: null,
    error: null,
    hasReportedIdle: false,
    hasReportedQueue: false,
  };
  return {
    add: (member) => add(state, member),
    start: (member) => start(state, member),
    handleDisconnect() {
      // The starts of their turns were reported before.
      for (const send of state.sends.values())
        Object.assign(send, {
          hasTurnReports: false,
          startsTurn: false,
          followsOtherTurn: false,
        } satisfies Partial<SendProgress>);
      state.hasReportedIdle = false;
      state.hasReportedQueue = false;
      if (!hasTurn(state)) state.reply.miss();
    },
    reportedIdleAndQueue: () => state.hasReportedIdle && state.hasReportedQueue,
    remove(member) {
      const send = state.sends.get(member);
      if (send !== undefined) forget(state, send);
    },
    receive: (frame) => receive(state, frame),
    current: () => sendsInTurns(state).map(({ member }) => member),
    close() {
      applyHeldEnd(state);
      state.reply.clear();
    },
  };
}

function add(state: State, member: TrackedSend): readonly TrackedSend[] {
  const { messageIds } = member;
  const replaced = [...sendsOf(state, messageIds)];
  for (const earlier of replaced) forget(state, earlier);
  const followsOtherTurn = isActive(state) && !hasTurn(state);
  const flags = { hasTurnReports: state.reportsTurnEnds, startsTurn: false, followsOtherTurn, isTurnOver: false };
  const send: Send = { member, messageIds, step: "sent", isStartInferred: false, ...flags };
  state.sends.set(member, send);
  for (const id of messageIds) state.byMessage.set(id, send);
  return replaced.map((earlier) => earlier.member);
}

function start(state: State, member: TrackedSend): void {
  const send = state.sends.get(member);
  if (send === undefined) return;
  // A new turn. Nothing of it was missed.
  if (!hasTurn(state)) state.reply.clear();
  send.step = "begun";
  send.startsTurn = send.hasTurnReports;
  send.isStartInferred = !state.reportsTurnEnds;
  state.startedAtMs ??= state.clock.monotonic();
}

function receive(state: State, frame: TurnFrame | StatusFrame): void {
  switch (frame.kind) {
    case "update_queue":
      return receiveQueue(state, frame);
    case "update_loop_status":
      return receiveLoop(state, frame);
    case "turn_finished":
      return receiveEnd(state, frame);
    case "assistant_text":
      return hasTurn(state) ? state.reply.add(frame.id, frame.text) : undefined;
    case "loop_error":
      return frame.isTerminal ? receiveError(state, frame) : undefined;
    case "control_request":
      return applyToTurn(state, { kind: "waiting" });
    case "update_device_status":
      return (frame.pending?.length ?? 0) > 0 ? applyToTurn(state, { kind: "waiting" }) : undefined;
  }
}

function receiveQueue(state: State, { messageIds, removed }: QueueFrame): void {
  const { sends, byMessage, apply } = state;
  const listed = sendsOf(state, messageIds);
  state.hasReportedQueue = true;
  // If a device reports no removals, messages leave its queue only into a turn.
  if (removed === null)
    for (const send of sends.values()) if (send.step === "queued" && !listed.has(send)) send.step = "begun";
  for (const { messageId, disposition } of removed ?? []) {
    const send = byMessage.get(messageId);
    if (send === undefined) continue;
    if (disposition === "dequeued") {
      Object.assign(send, { step: "begun", followsOtherTurn: false } satisfies Partial<SendProgress>);
      apply(send.member, { kind: "running" });
      continue;
    }
    // A device that drops a message to make room for another keeps a full queue. A removal by a person leaves room.
    apply(send.member, { kind: messageIds.length >= maxWaitingMessages ? "evicted" : "removed" });
    release(state, [send]);
  }
  for (const send of listed) {
    if (isInTurn(send) && !send.isStartInferred) continue;
    apply(send.member, { kind: send.isStartInferred ? "requeued" : "queued" });
    const progress = { step: "queued", hasTurnReports: state.reportsTurnEnds, isStartInferred: false } as const;
    Object.assign(send, progress satisfies Partial<Send>);
  }
  if (removed === null) applyActivity(state);
}

function receiveLoop(state: State, frame: LoopFrame): void {
  state.runs = frame.runs ?? [];
  const wasActive = isActive(state);
  if (state.activity === "idle" && frame.activity !== "idle" && frame.activity !== null) receiveStart(state);
  state.activity = frame.activity ?? state.activity;
  if (state.activity === "idle") return receiveIdle(state, wasActive);
  const active = new Set(frame.activeRunIds);
  for (const { runId, messageIds } of state.runs) {
    // The last run can belong to an earlier turn, while the current one has none yet.
    if (active.has(runId)) for (const send of sendsOf(state, messageIds)) markListed(send);
  }
  applyActivity(state);
}

/** The next turn starts. The ends of earlier turns have been reported, or are lost. */
function receiveStart(state: State): void {
  applyHeldEnd(state);
  release(state, state.endedWithoutReason);
  state.endedWithoutReason = [];
  const ended = sendsInTurns(state).filter(({ isTurnOver }) => isTurnOver);
  if (ended.length > 0) endCurrentTurn(state, ended, withoutReason);
  state.startedAtMs ??= state.clock.monotonic();
}

function receiveIdle(state: State, wasActive: boolean): void {
  state.hasReportedIdle = true;
  for (const send of state.sends.values()) send.followsOtherTurn &&= isInTurn(send);
  const listed = sendsOf(
    state,
    state.runs.flatMap(({ messageIds }) => messageIds),
  );
  for (const send of listed) if (send.hasTurnReports) markListed(send);
  const missed = [...listed].filter((send) => !isInTurn(send));
  const [turn] = openTurns(state.sends.values());
  if (turn === undefined) {
    state.startedAtMs = null;
    state.error = null;
    state.reply.clear();
    if (missed.length > 0) endSends(state, missed, withoutReason, null);
    return;
  }
  // Sends after the current turn wait for their ends, too. The turns of others ended while the device was disconnected.
  const lastRun = Math.max(...sendsInTurns(state).map((send) => firstRunOf(state.runs, send)));
  const later = missed.filter((send) => lastRun !== -1 && firstRunOf(state.runs, send) > lastRun);
  for (const send of later) markListed(send);
  endEarlier(
    state,
    missed.filter((send) => !later.includes(send)),
  );
  if (!wasActive) return;
  if (state.reportsTurnEnds) for (const send of turn) send.isTurnOver = true;
  else endCurrentTurn(state, sendsInTurns(state), withoutReason);
}

/** Ends sends of turns before the current one. Their reasons will not be reported. */
function endEarlier(state: State, sends: readonly Send[]): void {
  for (const { member } of sends)
    state.apply(member, { kind: "ended", ...withoutReason, durationMs: null, reply: null });
  release(state, sends);
}

function receiveEnd(state: State, frame: TurnFinishedFrame): void {
  const { runs } = state;
  const { runId, usage, error } = frame;
  const stopReason = frame.stopReason ?? unknownReason;
  const listed = sendsOf(state, runs.find((run) => run.runId === runId)?.messageIds ?? []);
  const late = state.endedWithoutReason.filter((send) => mayBeOfRun(runs, send, runId));
  // The end of an earlier turn, whose messages the run still lists.
  const isLate = listed.size === 0 && late.some((send) => firstRunOf(runs, send) !== -1);
  const { earlier, ended } = isLate ? { earlier: [], ended: [] } : splitAtEnd(state.sends.values(), runs, runId);
  // First, because sends that are left after the end of the current turn belong to the next one.
  endEarlier(state, earlier);
  for (const send of state.sends.values()) send.followsOtherTurn = false;
  endCurrentTurn(state, new Set([...ended, ...listed]), { stopReason, usage, error });
  // If it ended nothing else, it is the late end of the sends in `late`. They were chosen above, because ending a turn forgets earlier ends.
  if (ended.length + listed.size > 0) return;
  for (const { member } of late)
    state.apply(member, { kind: "ended", stopReason, error, usage, durationMs: null, reply: null });
}

function receiveError(state: State, { message, stopReason }: LoopErrorFrame): void {
  // First, because a message may have left the queue for the next turn, which has not started.
  if (state.heldEnd !== null) return applyHeldEnd(state, { stopReason: stopReason ?? unknownReason, error: message });
  if (hasTurn(state)) {
    state.error = message;
    return;
  }
  for (const { member } of state.endedWithoutReason) state.apply(member, { kind: "error", stopReason, error: message });
}

function sendsOf({ byMessage }: State, ids: Iterable<string | null>): ReadonlySet<Send> {
  return new Set([...ids].flatMap((id) => (id === null ? [] : (byMessage.get(id) ?? []))));
}

function isActive({ activity }: Pick<State, "activity">): boolean {
  return activity === "active" || activity === "waiting";
}

/** The sends of the turns that have begun and have not ended. */
function sendsInTurns({ sends }: State): readonly Send[] {
  return [...sends.values()].filter(isInTurn);
}

function hasTurn({ sends }: State): boolean {
  for (const send of sends.values()) if (isInTurn(send)) return true;
  return false;
}

function forget({ sends, byMessage }: State, send: Send): void {
  if (sends.get(send.member) === send) sends.delete(send.member);
  for (const id of send.messageIds) if (byMessage.get(id) === send) byMessage.delete(id);
}

function applyActivity(state: State): void {
  if (state.activity === "active") applyToTurn(state, { kind: "running" });
  if (state.activity === "waiting") applyToTurn(state, { kind: "waiting" });
}

function applyToTurn(state: State, evidence: Evidence): void {
  for (const { member } of sendsInTurns(state)) state.apply(member, evidence);
}

/** Ends the current turn. Without sends, it was a turn of other messages. */
function endCurrentTurn(state: State, sends: Iterable<Send>, end: End): void {
  const { startedAtMs } = state;
  const durationMs = startedAtMs === null ? null : Math.round(state.clock.monotonic() - startedAtMs);
  // A turn that ended well has survived its errors.
  const error = end.error ?? (end.stopReason === "end_turn" ? null : state.error);
  endSends(state, sends, { ...end, error }, durationMs);
  state.reply.clear();
  state.error = null;
  // The remaining sends belong to the next turn, which has begun by now, or has also ended.
  state.startedAtMs = hasTurn(state) ? state.clock.monotonic() : null;
}

/** Ends sends. Sends that ended earlier without a reason no longer get one. */
function endSends(state: State, sends: Iterable<Send>, end: End, durationMs: number | null): void {
  applyHeldEnd(state);
  release(state, state.endedWithoutReason);
  const ended = [...sends];
  for (const send of ended) forget(state, send);
  const evidence = { kind: "ended", ...end, durationMs, reply: state.reply.current() } as const;
  const hasReason = end.stopReason !== unknownReason;
  // A device may still say why the turn ended.
  state.endedWithoutReason = hasReason ? [] : ended;
  if (!hasReason && end.error === null && !state.reportsTurnEnds && ended.length > 0) {
    state.heldEnd = { evidence, cancel: state.clock.setTimer(lateErrorMs, () => applyHeldEnd(state)) };
    return;
  }
  for (const { member } of ended) state.apply(member, evidence);
  if (hasReason) release(state, ended);
}

/** Applies an end that has waited for its reason. */
function applyHeldEnd(state: State, reason: Partial<Pick<EndEvidence, "stopReason" | "error">> = {}): void {
  const { heldEnd } = state;
  if (heldEnd === null) return;
  heldEnd.cancel();
  state.heldEnd = null;
  for (const { member } of state.endedWithoutReason) state.apply(member, { ...heldEnd.evidence, ...reason });
}

function release(state: State, sends: readonly Send[]): void {
  for (const send of sends) {
    forget(state, send);
    state.release(send.member);
  }
}

/**
 * Which messages belong to which turn of a conversation. A message joins the turn that its acknowledgement says it started, the turn
 * that took it out of the queue, or the turn of the run that lists it. All messages of a turn share its outcome. A device runs one turn
 * at a time in a conversation.
 */
import type {
  LoopErrorFrame,
  LoopFrame,
  QueueFrame,
  StatusFrame,
  TurnFinishedFrame,
  TurnFrame,
} from "../dialects/frame.ts";
import { maxWaitingMessages } from "../limits.ts";
import { createReplyCollector, type ReplyBudget, type ReplyCollector } from "./reply.ts";
import { type Evidence, unknownReason } from "./status.ts";

/** The messages of one send. A device takes them together. */
export interface TurnMember {
  readonly messageIds: readonly string[];
}

/** The turns of one conversation. */
export interface ConversationTurns<Member extends TurnMember> {
  /** Adds a send whose place in the conversation is not known yet. Returns earlier sends with the same ids, which it replaces. */
  add(member: Member): readonly Member[];
  /** The device has started a turn with a send. */
  start(member: Member): void;
  /** The device was away: what the turn that runs has said may be missing, and the device is asked for its state. */
  miss(): void;
  /** Whether the device has reported since then that no turn runs, and its queue. What it did not name then is unknown to it. */
  wasQuiet(): boolean;
  /** Forgets a send. */
  remove(member: Member): void;
  receive(frame: TurnFrame | StatusFrame): void;
  /** The sends of the turn that runs, the latest one last. */
  current(): readonly Member[];
  /** Frees memory. Nothing may be called afterwards. */
  close(): void;
}

/** Dependencies of the turns of a conversation. */
export interface TurnsOptions<Member extends TurnMember> {
  readonly monotonic: () => number;
  readonly budget: ReplyBudget;
  /** The device reports the end of each turn with its reason. Otherwise an idle loop is the end. */
  readonly reportsTurnEnds: boolean;
  readonly apply: (member: Member, evidence: Evidence) => void;
  /** Called when nothing more will be known of a send. */
  readonly release: (member: Member) => void;
}

const withoutReason = { stopReason: unknownReason, error: null, usage: null };

type Runs = NonNullable<LoopFrame["runs"]>;
type End = Pick<TurnFinishedFrame, "error" | "usage"> & { readonly stopReason: string };

interface State<Member extends TurnMember> extends TurnsOptions<Member> {
  readonly byMessage: Map<string, Member>;
  /** Sends of the present turn. */
  readonly turn: Set<Member>;
  /** Sends that were seen in the queue and have not left it. */
  readonly queued: Set<Member>;
  readonly reply: ReplyCollector;
  /** Sends of the last turn, if it ended without a reason. */
  endedWithoutReason: readonly Member[];
  activity: LoopFrame["activity"];
  runs: Runs;
  /** When the present turn started; `null` if that was not seen. */
  startedAtMs: number | null;
  /** The last error of the present turn. */
  error: string | null;
  /** Since the device was away. */
  hasReportedIdle: boolean;
  hasReportedQueue: boolean;
  /** The loop is idle after the present turn, whose end is about to be reported. */
  isOver: boolean;
}

/** Creates {@link ConversationTurns}. */
export function createConversationTurns<Member extends TurnMember>(
  options: TurnsOptions<Member>,
): ConversationTurns<Member> {
  const state: State<Member> = {
    ...options,
    byMessage: new Map(),
    turn: new Set(),
    queued: new Set(),
    reply: createReplyCollector(options.budget),
    endedWithoutReason: [],
    activity: null,
    runs: [],
    startedAtMs: null,
    error: null,
    hasReportedIdle: false,
    hasReportedQueue: false,
    isOver: false,
  };
  return {
    add(member) {
      const replaced = [...membersOf(state, member.messageIds)];
      for (const earlier of replaced) forget(state, earlier);
      for (const id of member.messageIds) state.byMessage.set(id, member);
      return replaced;
    },
    start(member) {
      if (state.isOver) finish(state, state.turn, withoutReason);
      // A new turn. Nothing of it was missed.
      if (state.turn.size === 0) state.reply.clear();
      join(state, member);
      state.startedAtMs ??= state.monotonic();
    },
    miss() {
      state.hasReportedIdle = false;
      state.hasReportedQueue = false;
      if (state.turn.size === 0) state.reply.miss();
    },
    wasQuiet: () => state.hasReportedIdle && state.hasReportedQueue,
    remove: (member) => forget(state, member),
    receive: (frame) => receive(state, frame),
    current: () => [...state.turn],
    close: state.reply.clear,
  };
}

function receive<Member extends TurnMember>(state: State<Member>, frame: TurnFrame | StatusFrame): void {
  switch (frame.kind) {
    case "update_queue":
      return receiveQueue(state, frame);
    case "update_loop_status":
      return receiveLoop(state, frame);
    case "turn_finished":
      return receiveEnd(state, frame);
    case "assistant_text":
      return state.turn.size > 0 ? state.reply.add(frame.id, frame.text) : undefined;
    case "loop_error":
      return frame.isTerminal ? receiveError(state, frame) : undefined;
    case "control_request":
      return applyToTurn(state, { kind: "waiting" });
    case "update_device_status":
      return (frame.pending?.length ?? 0) > 0 ? applyToTurn(state, { kind: "waiting" }) : undefined;
  }
}

function receiveQueue<Member extends TurnMember>(state: State<Member>, { messageIds, removed }: QueueFrame): void {
  const { byMessage, turn, queued, apply } = state;
  const listed = membersOf(state, messageIds);
  state.hasReportedQueue = true;
  // A device that reports no removals has none but those into a turn.
  if (removed === null) for (const member of [...queued]) if (!listed.has(member)) join(state, member);
  for (const { messageId, disposition } of removed ?? []) {
    const member = byMessage.get(messageId);
    if (member === undefined) continue;
    if (disposition === "dequeued") {
      join(state, member);
      apply(member, { kind: "running" });
      continue;
    }
    // A device that drops a message to make room for another keeps a full queue. A removal by a person leaves room.
    apply(member, { kind: messageIds.length >= maxWaitingMessages ? "evicted" : "removed" });
    release(state, [member]);
  }
  for (const member of listed) {
    if (turn.has(member)) continue;
    queued.add(member);
    apply(member, { kind: "queued" });
  }
  if (removed === null) applyActivity(state);
}

function receiveLoop<Member extends TurnMember>(state: State<Member>, frame: LoopFrame): void {
  state.runs = frame.runs ?? [];
  const wasActive = state.activity === "active" || state.activity === "waiting";
  const startsNow = state.activity === "idle" && frame.activity !== "idle" && frame.activity !== null;
  // When the next turn starts, one whose end was not reported is over.
  if (startsNow && state.isOver) finish(state, state.turn, withoutReason);
  if (startsNow) state.startedAtMs ??= state.monotonic();
  state.activity = frame.activity ?? state.activity;
  if (state.activity === "idle") return receiveIdle(state, wasActive);
  const active = new Set(frame.activeRunIds);
  for (const { runId, messageIds } of state.runs) {
    // The last run can be that of an earlier turn, while the present one has none yet.
    if (!active.has(runId)) continue;
    for (const member of membersOf(state, messageIds)) join(state, member);
  }
  applyActivity(state);
}

function receiveIdle<Member extends TurnMember>(state: State<Member>, wasActive: boolean): void {
  state.hasReportedIdle = true;
  const listed = membersOf(
    state,
    state.runs.flatMap(({ messageIds }) => messageIds),
  );
  const missed = [...listed].filter((member) => !state.turn.has(member));
  if (state.turn.size > 0) {
    // Those after the present turn wait for their end like it. The turns of others ended while the device was disconnected.
    const lastPlace = Math.max(...[...state.turn].map((member) => firstPlaceOf(state, member)));
    const later = missed.filter((member) => lastPlace !== -1 && firstPlaceOf(state, member) > lastPlace);
    for (const member of later) join(state, member);
    endEarlier(
      state,
      missed.filter((member) => !later.includes(member)),
    );
    state.isOver ||= wasActive;
    if (state.isOver && !state.reportsTurnEnds) finish(state, state.turn, withoutReason);
    return;
  }
  state.startedAtMs = null;
  state.reply.clear();
  if (missed.length > 0) conclude(state, missed, withoutReason, null);
}

/** Ends sends of turns before the present one. Their reasons will not be reported. */
function endEarlier<Member extends TurnMember>(state: State<Member>, members: readonly Member[]): void {
  for (const member of members) state.apply(member, { kind: "ended", ...withoutReason, durationMs: null, reply: null });
  release(state, members);
}

function receiveEnd<Member extends TurnMember>(state: State<Member>, frame: TurnFinishedFrame): void {
  const { runs, turn } = state;
  const listed = membersOf(state, runs.find(({ runId }) => runId === frame.runId)?.messageIds ?? []);
  const present = endedBy(state, frame.runId);
  const late = state.endedWithoutReason.filter((member) => isOfRun(state, member, frame.runId));
  // The end of an earlier turn, whose messages the run still lists.
  const isLate = listed.size === 0 && late.some((member) => firstPlaceOf(state, member) !== -1);
  const members = new Set(isLate ? [] : [...present, ...listed]);
  const { usage, error } = frame;
  const stopReason = frame.stopReason ?? unknownReason;
  if (members.size > 0 || turn.size === 0) finish(state, members, { stopReason, usage, error });
  if (members.size > 0) return;
  for (const member of late) {
    state.apply(member, { kind: "ended", stopReason, error, usage, durationMs: null, reply: null });
  }
}

/** The sends of the present turn that its end ends. A device can list those of the next turn before that end. */
function endedBy<Member extends TurnMember>(state: State<Member>, runId: string | null): readonly Member[] {
  const members = [...state.turn];
  const place = state.runs.findIndex((run) => run.runId === runId);
  if (place !== -1) return members.filter((member) => firstPlaceOf(state, member) <= place);
  if (runId !== null) return members;
  // The turn failed before its first run, or between two. The earliest send belongs to it. One that only runs after those of the earlier sends
  // list is of the next turn, as are all that joined later.
  let lastPlace = -1;
  const next = members.findIndex((member, index) => {
    if (index > 0 && firstPlaceOf(state, member) > lastPlace) return true;
    lastPlace = Math.max(lastPlace, lastPlaceOf(state, member));
    return false;
  });
  return next === -1 ? members : members.slice(0, next);
}

/** The end of a turn without a run, or of another run, says nothing about messages that some run lists. */
function isOfRun<Member extends TurnMember>({ runs }: State<Member>, member: Member, runId: string | null): boolean {
  const own = runs.filter((run) => lists(run, member));
  return own.length === 0 || own.some((run) => run.runId === runId);
}

/** The place of the first run that lists a send among the latest runs, the oldest of which has place 0; -1 if none does. */
function firstPlaceOf<Member extends TurnMember>({ runs }: State<Member>, member: Member): number {
  return runs.findIndex((run) => lists(run, member));
}

function lastPlaceOf<Member extends TurnMember>({ runs }: State<Member>, member: Member): number {
  return runs.findLastIndex((run) => lists(run, member));
}

function lists(run: Runs[number], { messageIds }: TurnMember): boolean {
  return run.messageIds.some((id) => messageIds.includes(id));
}

function receiveError<Member extends TurnMember>(state: State<Member>, { message, stopReason }: LoopErrorFrame): void {
  if (state.turn.size > 0) {
    state.error = message;
    return;
  }
  for (const member of state.endedWithoutReason) state.apply(member, { kind: "error", stopReason, error: message });
}

function membersOf<Member extends TurnMember>(
  { byMessage }: State<Member>,
  ids: Iterable<string | null>,
): ReadonlySet<Member> {
  return new Set([...ids].flatMap((id) => (id === null ? [] : (byMessage.get(id) ?? []))));
}

function join<Member extends TurnMember>({ queued, turn }: State<Member>, member: Member): void {
  queued.delete(member);
  turn.add(member);
}

function forget<Member extends TurnMember>({ turn, queued, byMessage }: State<Member>, member: Member): void {
  turn.delete(member);
  queued.delete(member);
  for (const id of member.messageIds) if (byMessage.get(id) === member) byMessage.delete(id);
}

function applyActivity<Member extends TurnMember>(state: State<Member>): void {
  if (state.activity === "active") applyToTurn(state, { kind: "running" });
  if (state.activity === "waiting") applyToTurn(state, { kind: "waiting" });
}

function applyToTurn<Member extends TurnMember>({ turn, apply }: State<Member>, evidence: Evidence): void {
  for (const member of turn) apply(member, evidence);
}

/** Ends the present turn. */
function finish<Member extends TurnMember>(state: State<Member>, members: Iterable<Member>, end: End): void {
  const { startedAtMs } = state;
  const durationMs = startedAtMs === null ? null : Math.round(state.monotonic() - startedAtMs);
  // A turn that ended well has survived its errors.
  const error = end.error ?? (end.stopReason === "end_turn" ? null : state.error);
  conclude(state, members, { ...end, error }, durationMs);
  state.reply.clear();
  state.error = null;
  // What is left belongs to the next turn, which has begun by now, or is over as well.
  const isNextKnown = state.turn.size > 0;
  state.startedAtMs = isNextKnown ? state.monotonic() : null;
  state.isOver &&= isNextKnown;
}

function conclude<Member extends TurnMember>(
  state: State<Member>,
  members: Iterable<Member>,
  end: End,
  durationMs: number | null,
): void {
  release(state, state.endedWithoutReason);
  const ended = [...members];
  for (const member of ended) {
    forget(state, member);
    state.apply(member, { kind: "ended", ...end, durationMs, reply: state.reply.current() });
  }
  // A device may still say why the turn ended.
  state.endedWithoutReason = end.stopReason === unknownReason ? ended : [];
  if (state.endedWithoutReason.length === 0) release(state, ended);
}

function release<Member extends TurnMember>(state: State<Member>, members: readonly Member[]): void {
  for (const member of members) {
    forget(state, member);
    state.release(member);
  }
}

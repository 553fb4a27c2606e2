/**
 * Decides which messages of a conversation end when a turn ends. A device runs messages in the order in which they were sent. It also runs turns without
 * a message from this server, and no report lists the runs of those.
 *
 * Reports can arrive out of order. On a slow link, a device replaces a loop status that waits to be sent with its latest one, so a status can be early,
 * but never late. An acknowledgement overtakes all waiting reports. Ends of turns, pieces of text and queue removals keep their order among themselves.
 */
import type { LoopFrame } from "../dialects/frame.ts";

/** The latest runs of a conversation, the oldest first, with the ids of their messages. */
export type Runs = NonNullable<LoopFrame["runs"]>;

/** The progress of a send through its turn, as far as it is known. */
export interface SendProgress {
  readonly messageIds: readonly string[];
  /** `listed`: only a run lists it, so ends of earlier turns may still arrive. `begun`: no more can arrive, except with `startsTurn`. */
  step: "sent" | "queued" | "listed" | "begun";
  /** The reports of this connection say when its turn begins and how it ends. */
  hasTurnReports: boolean;
  /** Its acknowledgement says that its turn has begun, so everything sent before has ended. The reports of these ends may still follow. */
  startsTurn: boolean;
  /** It was sent while a turn of other messages ran, whose end has not been reported. */
  followsOtherTurn: boolean;
  /** The loop was idle after its turn, whose end is about to be reported. */
  isTurnOver: boolean;
}

/** Whether the turn of a send has begun, and has not ended. */
export function isInTurn({ step }: SendProgress): boolean {
  return step === "listed" || step === "begun";
}

/** A run lists a send. */
export function markListed(send: SendProgress): void {
  if (!isInTurn(send)) send.step = send.hasTurnReports ? "listed" : "begun";
}

/** The turns that have begun and whose ends have not been reported, the earliest first. `sends` are in the order in which they were sent. */
export function openTurns<Send extends SendProgress>(sends: Iterable<Send>): readonly (readonly Send[])[] {
  const turns: Send[][] = [];
  for (const send of sends) {
    if (!isInTurn(send)) continue;
    const latest = turns.at(-1);
    if (latest === undefined || send.startsTurn) turns.push([send]);
    else latest.push(send);
  }
  return turns;
}

/**
 * Returns the sends that a turn end concerns: the sends of its turn, and of earlier turns whose ends were lost. Both lists are empty if the turn ran
 * other messages.
 */
export function splitAtEnd<Send extends SendProgress>(
  sends: Iterable<Send>,
  runs: Runs,
  runId: string | null,
): { readonly earlier: readonly Send[]; readonly ended: readonly Send[] } {
  const turns = openTurns(sends);
  const run = runs.findIndex((other) => other.runId === runId);
  const isListed = (send: SendProgress): boolean => firstRunOf(runs, send) !== -1 && firstRunOf(runs, send) <= run;
  const own = turns.findLastIndex((turn) => turn.some(isListed));
  // If its run lists none of them, it is the first end that they wait for.
  const index = Math.max(own, 0);
  const turn = turns[index] ?? [];
  const [first] = turn;
  if (first === undefined || (own === -1 && turn.some(({ followsOtherTurn }) => followsOtherTurn)))
    return { earlier: [], ended: [] };
  // Without a listed run, the turn failed before its first run or after its last one.
  const lastRun = run === -1 ? runs.findLastIndex((other) => lists(other, first)) : run;
  // A send that only later runs list belongs to the next turn, as do all sends after it.
  const next = turn.findIndex(
    (send) => firstRunOf(runs, send) > lastRun || (send.step === "listed" && !isListed(send)),
  );
  return { earlier: turns.slice(0, index).flat(), ended: next === -1 ? turn : turn.slice(0, next) };
}

/**
 * Whether a turn end can be the end of a send. If runs list the send, only the end of one of these runs counts. Any other end would be ambiguous: this
 * turn may have failed after its last run, or the next turn before its first one. A send that no run lists can end with any end.
 */
export function mayBeOfRun(runs: Runs, send: SendProgress, runId: string | null): boolean {
  const own = runs.filter((run) => lists(run, send));
  return own.length === 0 || own.some((run) => run.runId === runId);
}

/** The index of the first run that lists a send; -1 if none does. */
export function firstRunOf(runs: Runs, send: SendProgress): number {
  return runs.findIndex((run) => lists(run, send));
}

function lists(run: Runs[number], { messageIds }: SendProgress): boolean {
  return run.messageIds.some((id) => messageIds.includes(id));
}

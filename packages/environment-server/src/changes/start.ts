/** Decides where a reader starts: live, at the oldest event that is kept, or after the last event that it has received, by its id. */
import type { ChangeLogState, ChangeRecording, RemovedChanges } from "../change-log.ts";
import { changeLimits } from "../limits.ts";
import type { Cursor } from "./event-ids.ts";

/**
 * Where a reader begins: after its last event, whose id may be `unknown`, at the oldest event that is kept, or (`null`) with what happens from now
 * on.
 */
export type StartingPoint = Cursor | "unknown" | "oldest" | null;

/**
 * Why events are missing between the last event of a reader and the next one. `expired`: they are no longer kept. `output_expired`:
 * only the output of turns is not. `unknown`: the id is not from this server's data. `lost`: they could not be stored.
 */
export type GapReason = "expired" | "output_expired" | "unknown" | "lost";

export interface Start {
  /** Position after which it receives changes. */
  readonly after: number;
  /** `null` when nothing is missing. */
  readonly gap: GapReason | null;
}

interface StartFacts {
  readonly state: ChangeLogState;
  readonly nowMs: number;
  /** Since when output is stored without a break; `null` for a reader without output. */
  readonly outputSinceMs: ChangeRecording["outputSinceMs"] | null;
}

/** Decides where a reader starts. A reader that starts at the oldest event misses nothing, since it has not received any. */
export function decideStart(from: StartingPoint, { state, nowMs, outputSinceMs }: StartFacts): Start {
  const live = { after: state.lastPosition, gap: null };
  if (from === null) return live;
  if (from === "oldest") return { after: state.removedThrough, gap: null };
  if (from === "unknown") return { ...live, gap: "unknown" };
  const { epoch, position, atMs } = from;
  const series = [state, ...state.former].find((known) => known.epoch === epoch);
  if (series === undefined || position > series.lastPosition) return { ...live, gap: "unknown" };
  const { events, output } = changeLimits;
  if (position < state.removedThrough || atMs <= nowMs - events.durationMs) return { ...live, gap: "expired" };
  if (outputSinceMs === null) return { after: position, gap: null };
  const isOutputComplete =
    position >= state.outputRemovedThrough && atMs > nowMs - output.durationMs && atMs >= outputSinceMs;
  return { after: position, gap: isOutputComplete ? null : "output_expired" };
}

interface GapFacts {
  /** Position up to which the reader has everything. */
  readonly after: number;
  /** Up to where changes are removed now. */
  readonly removed: RemovedChanges;
  /** The removals that the reader already knows about. */
  readonly announced: RemovedChanges;
  readonly includesOutput: boolean;
}

/** Decides whether a reader misses changes because they were removed before it read them. */
export function decideGap({ after, removed, announced, includesOutput }: GapFacts): GapReason | null {
  const isNew = (through: number, known: number): boolean => through > after && through > known;
  if (isNew(removed.removedThrough, announced.removedThrough)) return "expired";
  const missesOutput = includesOutput && isNew(removed.outputRemovedThrough, announced.outputRemovedThrough);
  return missesOutput ? "output_expired" : null;
}

/** Decides where a reader starts: live, or behind the last event that it has received. */
import type { ChangeLogState, ChangeRecording } from "../change-log.ts";
import { changeLimits } from "../limits.ts";
import type { Cursor } from "./cursor.ts";

/**
 * Why events are missing between the last event of a reader and the next one. `expired`: they are not kept any more. `output_expired`:
 * only what turns said is not. `unknown`: the id is not from this server's data. `lost`: they could not be stored.
 */
export type GapReason = "expired" | "output_expired" | "unknown" | "lost";

/** Where a reader starts. */
export interface Start {
  /** Position after which it receives changes. */
  readonly after: number;
  /** `null` when nothing is missing. */
  readonly gap: GapReason | null;
}

/**
 * Decides where a reader starts.
 *
 * @param cursor the last event that it has received; `null` for a reader that wants what happens from now on
 * @param outputSinceMs since when output is stored without a break; `null` for a reader without output
 */
export function decideStart(
  cursor: Cursor | null,
  state: ChangeLogState,
  nowMs: number,
  outputSinceMs: ChangeRecording["outputSinceMs"] | null,
): Start {
  const live = { after: state.lastPosition, gap: null };
  if (cursor === null) return live;
  const { epoch, position, atMs } = cursor;
  if (epoch !== state.epoch || position > state.lastPosition) return { ...live, gap: "unknown" };
  const { events, output } = changeLimits;
  if (position < state.removedThrough || atMs <= nowMs - events.durationMs) return { ...live, gap: "expired" };
  if (outputSinceMs === null) return { after: position, gap: null };
  const isOutputComplete =
    position >= state.outputRemovedThrough && atMs > nowMs - output.durationMs && atMs >= outputSinceMs;
  return { after: position, gap: isOutputComplete ? null : "output_expired" };
}

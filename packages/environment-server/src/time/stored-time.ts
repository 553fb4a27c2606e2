/**
 * The rule for stored times, and the only place that reads a clock for them (docs/storage.md, "Times").
 *
 * - **Server time** decides how old something is. It starts where the stored one ended, follows the monotonic clock, and stops while the server
 *   does not run. So an age never exceeds the time that has really passed, whatever the wall clock does.
 * - **Wall time** is what people see. It is stored as the clock showed it, and never changed afterwards.
 * - A record that has only a wall time is old when both agree: the wall clock says so, and has shown only later times for that much server
 *   time. The store therefore remembers by how much the wall clock was ahead of the server time, and since when.
 *
 * A wrong wall clock can store wrong times, and thereby keep something longer. It cannot make anything expire early.
 */
import type { Clock } from "@letta-environments/platform";
import type { EmitEvent } from "../log-events.ts";
import { environmentRetentionMs, timeSaveIntervalMs } from "../limits.ts";
import type { EnvironmentStore, SavedTime, WallClockChange } from "../ports.ts";

/** The times of a server. All are whole milliseconds; a server time and an epoch time may differ by any amount. */
export interface StoredTime {
  /** Server time: when ids, connectionIds and events are stored, and by which they expire. */
  now(): number;
  /** Wall time: when something happened that people see. */
  wall(): number;
  /** Returns the wall time by which records with a wall time that are kept for `keptMs` expire. Never later than the wall clock. */
  expiryNow(keptMs: number): number;
  /** Converts an earlier server time to the wall time at that moment. Never later than now. */
  wallAt(serverTime: number): number;
  /** Stores the server time, unless it was stored a moment ago. A failure is reported as `store_failed`. */
  saveIfDue(): Promise<void>;
  /** Stores the server time, for the next start. */
  close(): Promise<void>;
}

/** Smaller differences between the clocks are not a change of the wall clock, in milliseconds. */
const minChangeMs = 1_000;

/** Changes that are remembered. Above it, the oldest two are merged into the lower one. */
const maxChanges = 1_000;

/** Creates {@link StoredTime}, and stores when it began. */
export function createStoredTime({
  clock,
  store,
  emit,
}: {
  readonly clock: Pick<Clock, "now" | "monotonic">;
  readonly store: Pick<EnvironmentStore, "savedTime" | "saveTime">;
  readonly emit: EmitEvent;
}): StoredTime {
  const saved: SavedTime = store.savedTime ?? { now: clock.now(), changes: [] };
  const offsetMs = saved.now - clock.monotonic();
  let changes = saved.changes;
  let savedAtMs = saved.now;

  const now = (): number => Math.floor(offsetMs + clock.monotonic());

  function save(): Promise<void> {
    savedAtMs = now();
    const failed = (cause: unknown): void => emit({ type: "store_failed", operation: "saveTime", cause });
    return store.saveTime({ now: savedAtMs, changes }).catch(failed);
  }

  function wall(): number {
    const [wallMs, since] = [clock.now(), now()];
    const aheadMs = wallMs - since;
    const last = changes.at(-1);
    if (last === undefined || Math.abs(aheadMs - last.aheadMs) >= minChangeMs) {
      changes = withChange(changes, { since, aheadMs });
      // Before anything is stored with this time, because a store keeps the order of its changes.
      void save();
    }
    return wallMs;
  }

  wall();
  return {
    now,
    wall,
    expiryNow(keptMs) {
      const wallMs = wall();
      const current = now();
      const shown = changes.filter((_change, index) => endOf(changes, index) >= current - keptMs);
      return Math.min(wallMs, current + Math.min(...shown.map(({ aheadMs }) => aheadMs)));
    },
    wallAt(serverTime) {
      const change = changes.findLast(({ since }) => since <= serverTime) ?? changes[0];
      return Math.min(serverTime + (change?.aheadMs ?? 0), clock.now());
    },
    saveIfDue: async () => {
      if (now() - savedAtMs >= timeSaveIntervalMs) await save();
    },
    close: save,
  };
}

/** Adds a change, and forgets changes that ended before the earliest kept record. */
function withChange(changes: readonly WallClockChange[], change: WallClockChange): readonly WallClockChange[] {
  const all = [...changes, change];
  const recent = all.filter((_change, index) => endOf(all, index) >= change.since - environmentRetentionMs);
  const [first, second, ...rest] = recent;
  if (first === undefined || second === undefined || recent.length <= maxChanges) return recent;
  return [{ since: first.since, aheadMs: Math.min(first.aheadMs, second.aheadMs) }, ...rest];
}

function endOf(changes: readonly WallClockChange[], index: number): number {
  return changes[index + 1]?.since ?? Number.POSITIVE_INFINITY;
}

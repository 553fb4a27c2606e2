/**
 * Limits how long a turn is followed while its end cannot be observed, because the device does not report it or the event stream is not open.
 * After a minute, the outcome of the turn counts as unknown.
 */
import type { Clock } from "../host.ts";

/** The party that is away. */
export type Party = "device" | "server";

/** Measures how long each party is away. */
export interface AbsenceTimer {
  /** Calls `end` with the reason of a party that has been away for too long and has not returned, now or later. It replaces the earlier function. */
  onExpired(end: (reason: string) => void): void;
  /** @param reason what is missing, such as `laptop is away` */
  markAbsent(party: Party, reason: string): Promise<void>;
  markPresent(party: Party): void;
  /** Stops all timers. */
  cancel(): void;
}

const maxAbsenceMs = 60_000;

/** Creates an {@link AbsenceTimer}. @param say prints a line when a party goes away */
export function createAbsenceTimer(clock: Pick<Clock, "setTimer">, say: (text: string) => Promise<void>): AbsenceTimer {
  const timers = new Map<Party, () => void>();
  /** The reasons of the parties that have been away for too long. */
  const reasons = new Map<Party, string>();
  let onExpired: (reason: string) => void = () => undefined;

  function markPresent(party: Party): void {
    timers.get(party)?.();
    timers.delete(party);
    reasons.delete(party);
  }

  return {
    onExpired(end) {
      onExpired = end;
      for (const reason of reasons.values()) end(reason);
    },
    async markAbsent(party, reason) {
      if (timers.has(party)) return;
      timers.set(
        party,
        clock.setTimer(maxAbsenceMs, () => {
          reasons.set(party, reason);
          onExpired(reason);
        }),
      );
      await say(reason);
    },
    markPresent,
    cancel() {
      for (const party of [...timers.keys()]) markPresent(party);
    },
  };
}

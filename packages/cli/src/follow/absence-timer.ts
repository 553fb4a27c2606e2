/**
 * Limits how long a turn is followed while its end cannot be observed, because the device does not report it or the event stream is not open.
 * After a minute, the outcome of the turn counts as unknown.
 */
import type { Clock } from "../host.ts";

/** The party that is away. */
export type Party = "device" | "server";

/** Measures how long each party is away. */
export interface AbsenceTimer {
  /** Resolves with the reason of a party that has been away for too long and has not returned. */
  readonly expired: Promise<{ readonly reason: string }>;
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
  let resolve: (absence: { readonly reason: string }) => void = () => undefined;
  const waiting = () => new Promise<{ readonly reason: string }>((settle) => (resolve = settle));
  let expired = waiting();

  function markPresent(party: Party): void {
    timers.get(party)?.();
    timers.delete(party);
    if (!reasons.delete(party)) return;
    expired = waiting();
    for (const reason of reasons.values()) resolve({ reason });
  }

  return {
    get expired() {
      return expired;
    },
    async markAbsent(party, reason) {
      if (timers.has(party)) return;
      timers.set(
        party,
        clock.setTimer(maxAbsenceMs, () => {
          reasons.set(party, reason);
          resolve({ reason });
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

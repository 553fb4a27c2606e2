/**
 * How long a turn is followed without news of it: while the device is away, or the server opens no stream of events, its end cannot be
 * seen. After a minute it counts as unknown.
 */
import type { Clock } from "../host.ts";

/** The party that is away. */
export type Party = "device" | "server";

/** Counts how long each party is away. */
export interface Patience {
  /** Resolves with the text of a party that has been away for too long, and has not come back. */
  readonly ranOut: Promise<{ readonly absent: string }>;
  /** @param text what is missing, such as `laptop is away` */
  begin(party: Party, text: string): Promise<void>;
  end(party: Party): void;
  /** Ends every count. */
  cancel(): void;
}

const patienceMs = 60_000;

/** Creates a {@link Patience}. @param say prints a line when a party goes away */
export function createPatience(clock: Pick<Clock, "setTimer">, say: (text: string) => Promise<void>): Patience {
  const timers = new Map<Party, () => void>();
  const expired = new Map<Party, string>();
  let resolve: (party: { readonly absent: string }) => void = () => undefined;
  const waiting = () => new Promise<{ readonly absent: string }>((settle) => (resolve = settle));
  let ranOut = waiting();

  function end(party: Party): void {
    timers.get(party)?.();
    timers.delete(party);
    if (!expired.delete(party)) return;
    ranOut = waiting();
    for (const absent of expired.values()) resolve({ absent });
  }

  return {
    get ranOut() {
      return ranOut;
    },
    async begin(party, text) {
      if (timers.has(party)) return;
      timers.set(
        party,
        clock.setTimer(patienceMs, () => {
          expired.set(party, text);
          resolve({ absent: text });
        }),
      );
      await say(text);
    },
    end,
    cancel() {
      for (const party of [...timers.keys()]) end(party);
    },
  };
}

import type { Clock, ValkeyConnection } from "@letta-environments/platform";
import { stampName } from "./valkey-key-scripts.ts";

/** How often another process's changes are looked for, in milliseconds. */
export const pollIntervalMs = 1_000;
/** How long what was read stays good while Valkey does not answer, in milliseconds. */
export const outageBoundMs = 60_000;

/** The generation of keys in Valkey. */
export interface KeyGeneration {
  /** Synchronous: what the last look told. It is another one on every call when the last look is too long ago. */
  current(): number;
  /** Looks now. It never rejects. */
  look(): Promise<void>;
  /** Notes a change of this process's own; `null` where it is unknown whether it was made. */
  changed(stamp: string | null): void;
  stop(): void;
}

/**
 * Looks at the stamp of the last change once a second, beside the requests. Rejects with ValkeyError when the first look fails,
 * since before it nothing that is read can be told from what was changed.
 */
export async function watchKeyGeneration(valkey: ValkeyConnection, clock: Clock): Promise<KeyGeneration> {
  let generation = 0;
  let heardAt = clock.now();
  /** `undefined`: unknown, so that whatever is read next is a change. */
  let stamp: unknown = await valkey.command(["GET", stampName]);
  let isStopped = false;
  let cancelTimer = clock.setTimer(pollIntervalMs, () => void lookAgain());

  async function look(): Promise<void> {
    const askedAt = clock.now();
    try {
      const current = await valkey.command(["GET", stampName]);
      heardAt = askedAt;
      if (current !== stamp) generation += 1;
      stamp = current;
    } catch {
      // The connection reports its failures; what matters here is how long ago the last answer was.
    }
  }

  async function lookAgain(): Promise<void> {
    await look();
    if (!isStopped) cancelTimer = clock.setTimer(pollIntervalMs, () => void lookAgain());
  }

  return {
    look,
    current() {
      const now = clock.now();
      // A clock that was set back must not stretch the bound by as much.
      heardAt = Math.min(heardAt, now);
      if (now - heardAt > outageBoundMs) generation += 1;
      return generation;
    },
    changed(own) {
      generation += 1;
      stamp = own ?? undefined;
    },
    stop() {
      isStopped = true;
      cancelTimer();
    },
  };
}

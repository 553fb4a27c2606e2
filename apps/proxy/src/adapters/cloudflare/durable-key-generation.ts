import type { Clock } from "@letta-environments/platform";

/** After how long the number of changes is asked for beside a request, in milliseconds. */
export const lookAfterMs = 1_000;
/** How long what was read is trusted without an answer, in milliseconds. It and a request's own time keep the promise of five seconds. */
export const trustMs = 4_000;

/** The generation of keys that lie in another place, for a process without timers. */
export interface DurableKeyGeneration {
  /** Synchronous: another number on every call when the last answer is too long ago. */
  current(): number;
  /** Notes an answer. `askedAt` is when it was asked for: what changed after that is not in it. */
  heard(changes: number, askedAt: number): void;
  /** Notes that a change was made, or may have been: `changes` is `null` where that is not known. */
  changed(changes: number | null, askedAt: number): void;
}

/**
 * Creates a {@link DurableKeyGeneration}. There is nothing to poll with between requests, so each request that finds the last answer older than
 * {@link lookAfterMs} has `look` ask beside it, and after {@link trustMs} nothing that was read before is trusted: then keys are read anew, and that
 * answer counts too.
 *
 * @param look asks beside the request at hand, and calls `heard`. It must not throw.
 */
export function createDurableKeyGeneration(clock: Pick<Clock, "now">, look: () => void): DurableKeyGeneration {
  let generation = 0;
  let heardAt = -Infinity;
  let lookedAt = -Infinity;
  /** `null` while nothing is known, and nothing that was read is kept. */
  let known: number | null = null;

  return {
    current() {
      const now = clock.now();
      // A clock that was set back must not stretch the bounds by as much.
      heardAt = Math.min(heardAt, now);
      lookedAt = Math.min(lookedAt, now);
      if (now - heardAt >= trustMs) generation += 1;
      else if (now - heardAt >= lookAfterMs && now - lookedAt >= lookAfterMs) {
        lookedAt = now;
        look();
      }
      return generation;
    },
    heard(changes, askedAt) {
      if (known !== null && changes !== known) generation += 1;
      known = changes;
      heardAt = Math.max(heardAt, askedAt);
    },
    changed(changes, askedAt) {
      generation += 1;
      known = changes;
      heardAt = changes === null ? -Infinity : Math.max(heardAt, askedAt);
    },
  };
}

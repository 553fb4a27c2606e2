/**
 * Sends of this process that delivered nothing, but whose ids could not be released yet. A hanging store may still execute a reservation after
 * its caller has given up, so until the release has succeeded, the ids of such a send are ignored whenever they turn up.
 */
import type { Clock } from "@letta-environments/platform";
import { repeatUntilDone } from "../lib/deadline.ts";
import type { IdempotencyStore, KnownEntry, Reservation } from "./store.ts";

/** The most sends that are remembered; the oldest is forgotten first. */
const maxUnreleased = 10_000;

/** How long the release of a send's ids is retried, in milliseconds. Until it succeeds, other gateways see the ids as used. */
const releasingMs = 600_000;

/** The longest pause between two attempts, in milliseconds. */
const maxPauseMs = 30_000;

export interface Unreleased {
  /** Remembers a send that delivered nothing, and releases its ids in the background. */
  add(reservation: Reservation): void;
  has(sendId: string): boolean;
  /**
   * Returns the ids that are really in use, and releases the others. Rejects when the store fails.
   *
   * @param reservation The send that needs the ids.
   */
  releaseLeftovers(reservation: Reservation, known: readonly KnownEntry[]): Promise<readonly KnownEntry[]>;
}

export function createUnreleased(
  {
    store,
    clock,
    background,
  }: {
    readonly store: Pick<IdempotencyStore, "release">;
    readonly clock: Clock;
    readonly background: (work: Promise<unknown>) => void;
  },
  capacity: number = maxUnreleased,
): Unreleased {
  const sendIds = new Set<string>();

  return {
    add(reservation) {
      sendIds.add(reservation.sendId);
      const [oldest] = sendIds;
      if (sendIds.size > capacity && oldest !== undefined) sendIds.delete(oldest);
      background(
        repeatUntilDone(clock, () => store.release(reservation), {
          durationMs: releasingMs,
          maxPauseMs,
          // It is forgotten after too many later failures.
          isNeeded: () => sendIds.has(reservation.sendId),
        }),
      );
    },
    has: (sendId) => sendIds.has(sendId),
    async releaseLeftovers(reservation, known) {
      const found = new Set(known.map(({ sendId }) => sendId).filter((sendId) => sendIds.has(sendId)));
      for (const sendId of found) {
        // The earlier send may lack some ids of this one. A store finds it by the first of its own ids.
        await store.release({ ...reservation, sendId, entries: known.filter((entry) => entry.sendId === sendId) });
      }
      return known.filter(({ sendId }) => !found.has(sendId));
    },
  };
}

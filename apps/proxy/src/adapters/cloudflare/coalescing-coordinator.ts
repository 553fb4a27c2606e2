/** Coalescing of requests that run in different isolates: one fetches, and the others wait for it by its id. */
import {
  createInProcessCoalescer,
  type FetchOutcome,
  type Follower,
  type Leader,
} from "@letta-environments/http-cache";
import type { Clock } from "@letta-environments/platform";

/** The role of a request: it fetches, waits for the leader, or fetches without coordination. */
export type CoordinatedRole = "leader" | "follower" | "solo";

/** The next step of a follower: look in the store, fetch without coordination, or lead. */
export type CoordinatedAction = "look-up" | "fetch-alone" | "lead";

/** How long a leader may take, in milliseconds. Then it counts as gone and a follower leads. */
export const leadMs = 10_000;
/** How long requests for a key do not wait after a response that could not be shared, in milliseconds, and for how many keys. */
const soloForMs = 1_000;
const maxSoloKeys = 1_000;
/** The number of requests that are tracked at a time. Any more fetch without coordination. */
const maxRequests = 10_000;

/**
 * Coordinates requests of other processes by their ids, with the in-process coalescer. A leader that fails, disconnects or takes longer than
 * {@link leadMs} hands over to a follower.
 */
export function createCoalescingCoordinator(clock: Clock) {
  const coalescer = createInProcessCoalescer({ clock, soloForMs, maxSoloKeys });
  const leaders = new Map<string, { readonly leader: Leader; readonly cancelTimer: () => void }>();
  const followers = new Map<string, { readonly follower: Follower; readonly action: Promise<CoordinatedAction> }>();

  function lead(requestId: string, leader: Leader): void {
    const cancelTimer = clock.setTimer(leadMs, () => settle(requestId, "abandoned"));
    leaders.set(requestId, { leader, cancelTimer });
  }

  /** Ends the fetch of a leader. No effect for a request that does not lead. */
  function settle(requestId: string, outcome: FetchOutcome): void {
    const found = leaders.get(requestId);
    if (found === undefined) return;
    leaders.delete(requestId);
    found.cancelTimer();
    found.leader.settle(outcome);
  }

  function follow(requestId: string, follower: Follower): void {
    const action = follower.action.then((next): CoordinatedAction => {
      // A follower that never collects its action is forgotten after `leadMs`. If it was chosen to lead, its lead ends then too.
      clock.setTimer(leadMs, () => followers.delete(requestId));
      if (typeof next === "string") return next;
      lead(requestId, next);
      return "lead";
    });
    followers.set(requestId, { follower, action });
  }

  return {
    /** @param requestId identifies this request and is never used again */
    enter(key: string, requestId: string): CoordinatedRole {
      if (leaders.size + followers.size >= maxRequests) return "solo";
      const entered = coalescer.enter(key);
      if (entered.role === "leader") lead(requestId, entered);
      if (entered.role === "follower") follow(requestId, entered);
      return entered.role;
    },
    /** Waits for the action of a follower; `fetch-alone` for an unknown request. */
    async actionOf(requestId: string): Promise<CoordinatedAction> {
      const action = (await followers.get(requestId)?.action) ?? "fetch-alone";
      followers.delete(requestId);
      return action;
    },
    settle,
    /** Removes a follower, and ends its lead if it has just become the leader. */
    leave(requestId: string): void {
      const found = followers.get(requestId);
      followers.delete(requestId);
      found?.follower.leave();
      settle(requestId, "abandoned");
    },
  };
}

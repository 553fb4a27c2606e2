/** Coalescing among the requests of one process. Roles across processes need another `Coalescer`. */
import type { Clock, Coalescer, FetchOutcome, Follower, FollowerAction, Leader, Solo } from "../ports.ts";

/** The options of an in-process coalescer. */
export interface InProcessCoalescerOptions {
  readonly clock: Clock;
  /** How long the others wait for one fetch. Then it counts as abandoned, and the next request leads. Default: 10 s. */
  readonly leadMs?: number;
  /** How long requests for a key do not wait after a response could not be shared. Default: 10 s. */
  readonly soloForMs?: number;
  /** The number of keys for which this is remembered. Default: 10,000. */
  readonly maxSoloKeys?: number;
}

/** A {@link Coalescer} without promises. */
export interface InProcessCoalescer extends Coalescer {
  enter(key: string): Leader | Follower | Solo;
}

/** Makes every request fetch on its own. Use it if one request must not wait for another. */
export const noCoalescing: Coalescer = { enter: () => ({ role: "solo" }) };

/** Tells a follower what to do. */
type Waiting = (action: FollowerAction) => void;

/** The requests of one key: the leader and those that wait for it. */
interface Group {
  readonly followers: Set<Waiting>;
  hasFailed: boolean;
  leader: Leader | null;
  /** When the leader got its role. */
  sinceMs: number;
}

/**
 * Coalesces the requests of one process. When the leader has stored its response, its followers read the store. When it fails or its client goes
 * away, one follower becomes the leader; when a second leader fails, the others fetch on their own. When the response cannot be shared, they
 * immediately fetch on their own, as do later requests for that key for `soloForMs`.
 *
 * A leader that takes longer than `leadMs` is also replaced, since a fetch may hang forever, and a background fetch has no client to abort it. This
 * is checked when a request for any key enters, so it needs no timers. If the leader still finishes, its stored response serves the waiting requests.
 */
export function createInProcessCoalescer(options: InProcessCoalescerOptions): InProcessCoalescer {
  const { clock, leadMs = 10_000, soloForMs = 10_000, maxSoloKeys = 10_000 } = options;
  /** In the order in which their leaders began. */
  const groups = new Map<string, Group>();
  const soloUntilMs = new Map<string, number>();

  function isSolo(key: string): boolean {
    const untilMs = soloUntilMs.get(key);
    if (untilMs === undefined) return false;
    const nowMs = clock.now();
    if (nowMs < untilMs && untilMs - nowMs <= soloForMs) return true;
    soloUntilMs.delete(key);
    return false;
  }

  function rememberSolo(key: string): void {
    soloUntilMs.delete(key);
    soloUntilMs.set(key, clock.now() + soloForMs);
    // The oldest keys come first. Removing them here keeps expired keys from staying in memory.
    for (const [oldest, untilMs] of soloUntilMs) {
      if (soloUntilMs.size <= maxSoloKeys && untilMs > clock.now()) break;
      soloUntilMs.delete(oldest);
    }
  }

  function lead(key: string, group: Group): Leader {
    let isSettled = false;
    const leader: Leader = {
      role: "leader",
      settle(outcome) {
        if (isSettled) return;
        isSettled = true;
        const current = groups.get(key);
        // After another request has taken over, a failure no longer matters.
        const matters = current?.leader === leader || outcome === "stored" || outcome === "unshared";
        if (current !== undefined && matters) end(key, current, outcome);
      },
    };
    group.leader = leader;
    group.sinceMs = clock.now();
    groups.delete(key);
    groups.set(key, group);
    return leader;
  }

  function endOverdue(): void {
    for (const [key, group] of groups) {
      // The absolute value counts, because otherwise setting the clock back would prolong the wait.
      if (Math.abs(clock.now() - group.sinceMs) < leadMs) return;
      end(key, group, "abandoned");
    }
  }

  function end(key: string, group: Group, outcome: FetchOutcome): void {
    if (outcome === "unshared") rememberSolo(key);
    const canHandOver = outcome === "abandoned" || (outcome === "failed" && !group.hasFailed);
    const [next] = group.followers;
    if (canHandOver && next !== undefined) {
      group.hasFailed ||= outcome === "failed";
      group.followers.delete(next);
      next(lead(key, group));
      return;
    }
    groups.delete(key);
    for (const follower of group.followers) follower(outcome === "stored" ? "look-up" : "fetch-alone");
  }

  return {
    enter(key) {
      endOverdue();
      if (isSolo(key)) return { role: "solo" };
      const group = groups.get(key);
      if (group !== undefined) return follow(group);
      return lead(key, { followers: new Set(), hasFailed: false, leader: null, sinceMs: 0 });
    },
  };
}

function follow({ followers }: Group): Follower {
  let resolve: Waiting = () => undefined;
  const action = new Promise<FollowerAction>((resolveAction) => {
    resolve = resolveAction;
  });
  followers.add(resolve);
  return { role: "follower", action, leave: () => void followers.delete(resolve) };
}

import type { Clock, Coalescer, FlightOutcome, FollowingFlight, LeadingFlight, SoloFlight, Turn } from "../ports.ts";

/** How an in-process coalescer is set. */
export interface InProcessCoalescerOptions {
  readonly clock: Clock;
  /** How long nobody waits for a key whose answer was for one request only. Default: 10 s. */
  readonly soloForMs?: number;
  /** Keys that are remembered for it. Default: 10,000. */
  readonly maxSoloKeys?: number;
}

/** A {@link Coalescer} that answers at once. */
export interface InProcessCoalescer extends Coalescer {
  enter(key: string): LeadingFlight | FollowingFlight | SoloFlight;
}

interface Waiting {
  readonly take: (turn: Turn) => void;
}

interface Flight {
  readonly followers: Set<Waiting>;
  hasFailed: boolean;
}

/**
 * Coalesces the requests of one process. Followers of a leader that stored its answer look into the cache. When the leader fails or its client goes
 * away, one follower takes the lead; when a second leader fails, the others go by themselves. When the answer is for nobody else they do so
 * at once, and so does every request of that key for a while.
 */
export function createInProcessCoalescer(options: InProcessCoalescerOptions): InProcessCoalescer {
  const { clock, soloForMs = 10_000, maxSoloKeys = 10_000 } = options;
  const flights = new Map<string, Flight>();
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
    // The oldest come first: what is over holds no key any longer than the next one comes.
    for (const [oldest, untilMs] of soloUntilMs) {
      if (soloUntilMs.size <= maxSoloKeys && untilMs > clock.now()) break;
      soloUntilMs.delete(oldest);
    }
  }

  function lead(key: string, flight: Flight): LeadingFlight {
    let isSettled = false;
    return {
      role: "leader",
      settle(outcome) {
        if (isSettled) return;
        isSettled = true;
        end(key, flight, outcome);
      },
    };
  }

  function end(key: string, flight: Flight, outcome: FlightOutcome): void {
    if (outcome === "unshared") rememberSolo(key);
    const mayHandOver = outcome === "abandoned" || (outcome === "failed" && !flight.hasFailed);
    const [next] = flight.followers;
    if (mayHandOver && next !== undefined) {
      flight.hasFailed ||= outcome === "failed";
      flight.followers.delete(next);
      next.take(lead(key, flight));
      return;
    }
    flights.delete(key);
    for (const follower of flight.followers) follower.take(outcome === "stored" ? "look-up" : "go-alone");
  }

  return {
    enter(key) {
      if (isSolo(key)) return { role: "solo" };
      const flight = flights.get(key);
      if (flight !== undefined) return follow(flight);
      const started: Flight = { followers: new Set(), hasFailed: false };
      flights.set(key, started);
      return lead(key, started);
    },
  };
}

function follow(flight: Flight): FollowingFlight {
  let resolve: (turn: Turn) => void = () => undefined;
  const promise = new Promise<Turn>((resolvePromise) => {
    resolve = resolvePromise;
  });
  let hasLeft = false;
  const waiting: Waiting = {
    take(turn) {
      // One that was given the lead just as it left passes it on.
      if (hasLeft && typeof turn === "object") turn.settle("abandoned");
      resolve(turn);
    },
  };
  flight.followers.add(waiting);
  return {
    role: "follower",
    turn: promise,
    leave() {
      hasLeft = true;
      flight.followers.delete(waiting);
    },
  };
}

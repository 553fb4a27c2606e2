import {
  createInProcessCoalescer,
  type FlightOutcome,
  type FollowingFlight,
  type LeadingFlight,
} from "@letta-environments/http-cache";
import type { Clock } from "@letta-environments/platform";

/** What a request is told that enters. */
export type FlightPlace = "leader" | "follower" | "solo";

/** What a follower is told. */
export type FlightTurn = "look-up" | "go-alone" | "lead";

/** How long somebody may lead without a word, in milliseconds; then the next one does. */
export const leadMs = 10_000;
/** How long nobody waits for an answer that was for one request only, in milliseconds, and for how many keys that is remembered. */
const soloForMs = 1_000;
const maxSoloKeys = 1_000;
/** Requests that are kept track of; one more goes by itself. */
const maxFlights = 10_000;

/** Hands out turns by name, so that whoever asks may be in another process. */
export interface FlightDesk {
  /** @param flightId names this request, and no other ever. */
  enter(key: string, flightId: string): FlightPlace;
  /** Waits for the turn of a follower; `go-alone` for one that is not known. */
  turn(flightId: string): Promise<FlightTurn>;
  /** Ends a leader's flight. Whoever is not leading any more changes nothing. */
  settle(flightId: string, outcome: FlightOutcome): void;
  /** Ends the waiting of a follower, and the lead if it was just given to it. */
  leave(flightId: string): void;
}

/**
 * Creates a {@link FlightDesk} over the coalescer of one process. A leader that fails or goes away hands over, and one that says nothing for
 * {@link leadMs} is taken for gone.
 */
export function createFlightDesk(clock: Clock): FlightDesk {
  const coalescer = createInProcessCoalescer({ clock, soloForMs, maxSoloKeys });
  const leaders = new Map<string, { readonly flight: LeadingFlight; readonly cancelTimer: () => void }>();
  const followers = new Map<string, { readonly flight: FollowingFlight; readonly turn: Promise<FlightTurn> }>();

  function lead(flightId: string, flight: LeadingFlight): void {
    const cancelTimer = clock.setTimer(leadMs, () => settle(flightId, "abandoned"));
    leaders.set(flightId, { flight, cancelTimer });
  }

  function settle(flightId: string, outcome: FlightOutcome): void {
    const leader = leaders.get(flightId);
    if (leader === undefined) return;
    leaders.delete(flightId);
    leader.cancelTimer();
    leader.flight.settle(outcome);
  }

  function follow(flightId: string, flight: FollowingFlight): void {
    const turn = flight.turn.then((told): FlightTurn => {
      // One that never asks is forgotten in the time of a leader; if it was given the lead, that ends then too.
      clock.setTimer(leadMs, () => followers.delete(flightId));
      if (typeof told === "string") return told;
      lead(flightId, told);
      return "lead";
    });
    followers.set(flightId, { flight, turn });
  }

  return {
    enter(key, flightId) {
      if (leaders.size + followers.size >= maxFlights) return "solo";
      const flight = coalescer.enter(key);
      if (flight.role === "leader") lead(flightId, flight);
      if (flight.role === "follower") follow(flightId, flight);
      return flight.role;
    },
    async turn(flightId) {
      const told = (await followers.get(flightId)?.turn) ?? "go-alone";
      followers.delete(flightId);
      return told;
    },
    settle,
    leave(flightId) {
      const follower = followers.get(flightId);
      followers.delete(flightId);
      follower?.flight.leave();
      settle(flightId, "abandoned");
    },
  };
}

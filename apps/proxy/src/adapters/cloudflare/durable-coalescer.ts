import type { Coalescer, FollowingFlight, LeadingFlight, Turn } from "@letta-environments/http-cache";
import type { RandomId } from "@letta-environments/platform";
import type { FlightObjectStub } from "./flight-object.ts";

/** What the coalescer is made of. */
export interface DurableCoalescerOptions {
  /** The object that hands out the turns of a key. */
  readonly flightsOf: (key: string) => FlightObjectStub;
  readonly randomId: RandomId;
  /** Keeps work alive that outlasts the answer to the request at hand. */
  readonly background: (work: Promise<unknown>) => void;
}

/**
 * Coalesces the requests of many isolates by turns from a Durable Object. No promise crosses a request: each waits for an answer of its own. A
 * leader is kept alive until it settles, also when its client goes away. When the object cannot be asked every request goes by itself.
 */
export function createDurableCoalescer({ flightsOf, randomId, background }: DurableCoalescerOptions): Coalescer {
  function lead(key: string, flightId: string): LeadingFlight {
    let end: () => void = () => undefined;
    background(
      new Promise<void>((resolve) => {
        end = resolve;
      }),
    );
    let isSettled = false;
    return {
      role: "leader",
      settle(outcome) {
        if (isSettled) return;
        isSettled = true;
        background(unlessAway(flightsOf(key).settle(flightId, outcome)));
        end();
      },
    };
  }

  async function waitForTurn(key: string, flightId: string): Promise<Turn> {
    try {
      const told = await flightsOf(key).turn(flightId);
      return told === "lead" ? lead(key, flightId) : told;
    } catch {
      return "go-alone";
    }
  }

  function follow(key: string, flightId: string): FollowingFlight {
    return {
      role: "follower",
      turn: waitForTurn(key, flightId),
      leave() {
        background(unlessAway(flightsOf(key).leave(flightId)));
      },
    };
  }

  return {
    async enter(key) {
      const flightId = randomId("flight");
      try {
        const place = await flightsOf(key).enter(key, flightId);
        if (place === "leader") return lead(key, flightId);
        return place === "follower" ? follow(key, flightId) : { role: "solo" };
      } catch {
        return { role: "solo" };
      }
    },
  };
}

/** An object that is away has forgotten its flights. */
async function unlessAway(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch {
    // So nobody waits for what it says.
  }
}

import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import {
  createFlightDesk,
  type FlightDesk,
  type FlightPlace,
  type FlightTurn,
} from "../../cache/create-flight-desk.ts";
import { systemClock } from "@letta-environments/platform/cloudflare";
import type { FlightOutcome } from "@letta-environments/http-cache";

/** What the gateway asks of {@link FlightObject}, as it is called from elsewhere. */
export interface FlightObjectStub {
  enter(key: string, flightId: string): Promise<FlightPlace>;
  turn(flightId: string): Promise<FlightTurn>;
  settle(flightId: string, outcome: FlightOutcome): Promise<void>;
  leave(flightId: string): Promise<void>;
}

/**
 * A Durable Object that hands out turns to requests that miss the same answer at the same time. It stores nothing: whoever waits for one that was
 * evicted goes by itself.
 */
export class FlightObject extends DurableObject {
  readonly #desk: FlightDesk;

  constructor(ctx: DurableObjectContext, env: unknown) {
    super(ctx, env);
    this.#desk = createFlightDesk(systemClock);
  }

  enter(key: string, flightId: string): FlightPlace {
    return this.#desk.enter(key, flightId);
  }

  turn(flightId: string): Promise<FlightTurn> {
    return this.#desk.turn(flightId);
  }

  settle(flightId: string, outcome: FlightOutcome): void {
    this.#desk.settle(flightId, outcome);
  }

  leave(flightId: string): void {
    this.#desk.leave(flightId);
  }
}

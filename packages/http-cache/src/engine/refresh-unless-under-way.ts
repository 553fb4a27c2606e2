import type { Background, FollowingFlight, LeadingFlight, SoloFlight } from "../ports.ts";
import type { FlightContext } from "./cache-context.ts";
import type { Settled } from "./exchange-in-turn.ts";

/** Asks behind an answer that was given already (RFC 5861, 3), unless somebody asks for the same key now. A failure changes nothing. */
export function refreshUnlessUnderWay(
  context: FlightContext,
  key: string,
  ask: () => Promise<Settled<unknown>>,
  background: Background,
): void {
  const entered = context.coalescer.enter(key);
  if (entered instanceof Promise) background(entered.then((flight) => refresh(context, flight, ask)));
  else {
    const work = refresh(context, entered, ask);
    if (work !== null) background(work);
  }
}

/** `null` where somebody else does it. */
function refresh(
  { onTrouble }: FlightContext,
  flight: LeadingFlight | FollowingFlight | SoloFlight,
  ask: () => Promise<Settled<unknown>>,
): Promise<void> | null {
  if (flight.role === "follower") {
    flight.leave();
    return null;
  }
  const settle = flight.role === "leader" ? flight.settle : () => undefined;
  return ask().then(
    ({ outcome }) => settle(outcome),
    (cause: unknown) => {
      settle("failed");
      onTrouble("background", cause);
    },
  );
}

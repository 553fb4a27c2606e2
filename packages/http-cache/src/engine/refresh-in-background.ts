import type { CacheRequest } from "../decide/cache-request.ts";
import type { Fetch, Hit } from "../decide/decision.ts";
import type { Background, FollowingFlight, LeadingFlight, SoloFlight } from "../ports.ts";
import type { CacheContext } from "./cache-context.ts";
import { exchange } from "./exchange.ts";
import type { Exchange } from "./exchange-subject.ts";
import { flightKey } from "./fetch-coalesced.ts";
import type { Forward, UnreadBody } from "./upstream.ts";

/** Asks the upstream about a stale answer that was sent already (RFC 5861, 3), unless somebody does so now. A failure changes nothing. */
export function refreshInBackground<Unread extends UnreadBody>(
  context: CacheContext,
  request: CacheRequest,
  forward: Forward<Unread>,
  { stored, ageMs, ttlMs }: Hit,
  background: Background,
): void {
  const asGet: CacheRequest = { ...request, method: "GET" };
  const decision: Fetch = { kind: "revalidate", reason: "stale", stored, ageMs, ttlMs };
  const entered = context.coalescer.enter(flightKey(asGet, decision));
  const subject: Exchange<Unread> = { request: asGet, forward, decision, isCollapsed: null, signal: undefined };
  if (entered instanceof Promise) background(entered.then((flight) => refresh(context, subject, flight)));
  else {
    const work = refresh(context, subject, entered);
    if (work !== null) background(work);
  }
}

/** `null` where somebody else does it. */
function refresh<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
  flight: LeadingFlight | FollowingFlight | SoloFlight,
): Promise<void> | null {
  if (flight.role === "follower") {
    flight.leave();
    return null;
  }
  const settle = flight.role === "leader" ? flight.settle : () => undefined;
  return exchange(context, subject).then(
    ({ outcome }) => settle(outcome),
    (cause: unknown) => {
      settle("failed");
      context.onTrouble("background", cause);
    },
  );
}

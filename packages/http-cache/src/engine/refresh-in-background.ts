import type { CacheRequest } from "../decide/cache-request.ts";
import type { Fetch, Hit } from "../decide/decision.ts";
import type { Background } from "../ports.ts";
import type { CacheContext } from "./cache-context.ts";
import { exchange } from "./exchange.ts";
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
  const flight = context.coalescer.enter(flightKey(asGet, decision));
  if (flight.role === "follower") {
    flight.leave();
    return;
  }
  const settle = flight.role === "leader" ? flight.settle : () => undefined;
  const work = exchange(context, { request: asGet, forward, decision, isCollapsed: null, signal: undefined }).then(
    ({ outcome }) => settle(outcome),
    (cause: unknown) => {
      settle("failed");
      context.onTrouble("background", cause);
    },
  );
  background(work);
}

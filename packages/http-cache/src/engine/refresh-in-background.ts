import type { CacheRequest } from "../decide/cache-request.ts";
import type { Fetch, Hit } from "../decide/decision.ts";
import type { Background } from "../ports.ts";
import type { CacheContext } from "./cache-context.ts";
import { exchange } from "./exchange.ts";
import { flightKey } from "./fetch-coalesced.ts";
import { refreshUnlessUnderWay } from "./refresh-unless-under-way.ts";
import type { Forward, UnreadBody } from "./upstream.ts";

/** Asks the upstream about a stale answer that was sent already, unless somebody does so now. */
export function refreshInBackground<Unread extends UnreadBody>(
  context: CacheContext,
  request: CacheRequest,
  forward: Forward<Unread>,
  { stored, ageMs, ttlMs }: Hit,
  background: Background,
): void {
  const asGet: CacheRequest = { ...request, method: "GET" };
  const decision: Fetch = { kind: "revalidate", reason: "stale", stored, ageMs, ttlMs };
  const subject = { request: asGet, forward, decision, isCollapsed: null, signal: undefined };
  refreshUnlessUnderWay(context, flightKey(asGet, decision), () => exchange(context, subject), background);
}

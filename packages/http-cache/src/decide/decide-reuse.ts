import { currentAgeMs, isClockBehind } from "./age.ts";
import type { CachePolicy } from "./cache-policy.ts";
import type { CacheRequest } from "./cache-request.ts";
import type { BypassReason, Decision, HitReason, RevalidateReason } from "./decision.ts";
import { readRequestDirectives, type RequestDirectives } from "./request-directives.ts";
import { selectStored } from "./select-stored.ts";
import type { StoredResponse } from "./stored-response.ts";

/** Why a request goes past the cache without being looked up; `null` when it does not. */
export function bypassReason(request: CacheRequest, policy: CachePolicy): BypassReason | null {
  const { method, headers } = request;
  if (method !== "GET" && method !== "HEAD") return "method";
  if (headers["if-match"] !== undefined || headers["if-unmodified-since"] !== undefined) return "precondition";
  return readRequestDirectives(headers, policy).noStore ? "no-store" : null;
}

/** Whether an answer that is stored for the request's resource may be used for it (RFC 9111, 4). */
export function decideReuse(
  request: CacheRequest,
  candidates: readonly StoredResponse[],
  policy: CachePolicy,
  nowMs: number,
): Decision {
  const wishes = readRequestDirectives(request.headers, policy);
  const stored = selectStored(request.headers, candidates, policy);
  const decision: Decision =
    stored === undefined
      ? { kind: "miss", reason: candidates.length === 0 ? "uri-miss" : "vary-miss", vary: candidates[0]?.vary ?? [] }
      : judge(stored, wishes, nowMs);
  return wishes.onlyIfCached && decision.kind !== "hit" ? { kind: "unsatisfied", reason: "only-if-cached" } : decision;
}

function judge(stored: StoredResponse, wishes: RequestDirectives, nowMs: number): Decision {
  const ageMs = currentAgeMs(stored, nowMs);
  const ttlMs = stored.freshForMs - ageMs;
  const obstacle = obstacleTo(stored, wishes, ageMs, ttlMs, nowMs);
  if (obstacle !== null) return { kind: "revalidate", reason: obstacle, stored, ageMs, ttlMs };
  const reason = ttlMs > 0 ? "fresh" : staleReason(stored, wishes, -ttlMs);
  return reason === null
    ? { kind: "revalidate", reason: "stale", stored, ageMs, ttlMs }
    : { kind: "hit", reason, stored, ageMs, ttlMs };
}

function obstacleTo(
  stored: StoredResponse,
  wishes: RequestDirectives,
  ageMs: number,
  ttlMs: number,
  nowMs: number,
): RevalidateReason | null {
  if (stored.validatesAlways) return "no-cache";
  if (isClockBehind(stored, nowMs)) return "clock";
  if (wishes.noCache) return "request-no-cache";
  // A reload (`max-age=0`) need not ask about what never changes while it is fresh (RFC 8246, 2).
  const isSettled = stored.isImmutable && ttlMs > 0;
  if (wishes.maxAgeMs !== null && ageMs > wishes.maxAgeMs && !isSettled) return "request-max-age";
  return wishes.minFreshMs !== null && ttlMs < wishes.minFreshMs ? "request-min-fresh" : null;
}

/** Why a stale answer may be used (RFC 9111, 4.2.4; RFC 5861, 3). A client that states a `max-age` accepts nothing stale by the origin's leave alone. */
function staleReason(stored: StoredResponse, wishes: RequestDirectives, staleForMs: number): HitReason | null {
  if (stored.isNeverStale) return null;
  if (wishes.maxStaleMs !== null && staleForMs <= wishes.maxStaleMs) return "max-stale";
  return wishes.maxAgeMs === null && staleForMs < stored.staleWhileRevalidateMs ? "stale-while-revalidate" : null;
}

import type { CachePolicy } from "./cache-policy.ts";
import type { RequestDirectives } from "./request-directives.ts";
import type { StoredResponse } from "./stored-response.ts";

/** How the upstream failed: with a status of RFC 5861, 4, or without an answer. */
export type UpstreamTrouble = "error-status" | "unreachable";

/** Statuses for which a stale answer may stand in. */
export const errorStatuses: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/**
 * Why a stored answer may be used though the upstream could not be asked about it: `stale-if-error` (RFC 5861, 4), or since there is no
 * connection (RFC 9111, 4.2.4); `null` when it may not.
 */
export function staleOnErrorReason(
  stored: StoredResponse,
  wishes: RequestDirectives,
  ageMs: number,
  trouble: UpstreamTrouble,
  policy: CachePolicy,
): "stale-if-error" | "unreachable" | null {
  if (stored.validatesAlways || stored.isNeverStale || wishes.noCache) return null;
  const staleForMs = Math.max(0, ageMs - stored.freshForMs);
  if (staleForMs < Math.max(stored.staleIfErrorMs, wishes.staleIfErrorMs ?? 0)) return "stale-if-error";
  if (wishes.maxAgeMs !== null || wishes.minFreshMs !== null) return null;
  return trouble === "unreachable" && staleForMs < policy.staleIfUnreachableMs ? "unreachable" : null;
}

/**
 * How long a response is fresh, how old it was on arrival, and whether it may still be used when the origin fails (RFC 9111, 4.2; RFC 5861).
 * A response is fresh while its age is smaller than its freshness lifetime.
 */
import { parseDeltaSeconds } from "../fields/cache-control.ts";
import type { ErrorReason, UpstreamFailure } from "../engine/strategy.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import { parseHttpDate } from "../fields/http-date.ts";
import type { CacheEntry } from "../ports.ts";
import type { RequestDirectives, ResponseDirectives } from "./directives.ts";
import type { ExchangeTimes, ResponseHead } from "./messages.ts";
import type { CachePolicy } from "./policy.ts";

/** The freshness lifetime in milliseconds. */
export interface Freshness {
  readonly lifetimeMs: number;
  /** True if the response states its lifetime, false if it was estimated. */
  readonly isExplicit: boolean;
}

/** Statuses whose responses may be stored without explicit freshness (RFC 9110, 15.1), except 206, which is not stored. */
export const heuristicStatuses: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);

/** Statuses for which a stale response may be served instead (RFC 5861, 4). */
export const errorStatuses: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** Computes the freshness lifetime (RFC 9111, 4.2.1). */
export function freshnessOf(
  { status, headers }: ResponseHead,
  directives: ResponseDirectives,
  policy: CachePolicy,
  receivedAtMs: number,
): Freshness {
  const seconds = directives.sharedMaxAge ?? directives.maxAge;
  if (seconds !== null) return { lifetimeMs: seconds * 1_000, isExplicit: true };
  const dateMs = parseHttpDate(headers["date"], receivedAtMs) ?? receivedAtMs;
  if (!directives.isTargeted && headers["expires"] !== undefined) {
    // An invalid date, `0` in particular, is in the past (RFC 9111, 5.3).
    const expiresMs = parseHttpDate(headers["expires"], receivedAtMs) ?? dateMs;
    return { lifetimeMs: Math.max(0, expiresMs - dateMs), isExplicit: true };
  }
  const allowsHeuristic = heuristicStatuses.has(status) || directives.flags.has("public");
  return { lifetimeMs: allowsHeuristic ? estimate(headers, policy, dateMs, receivedAtMs) : 0, isExplicit: false };
}

/** Estimates a lifetime from `Last-Modified` (RFC 9111, 4.2.2). */
function estimate(headers: HeaderRecord, policy: CachePolicy, dateMs: number, nowMs: number): number {
  const modifiedMs = parseHttpDate(headers["last-modified"], nowMs);
  if (modifiedMs === null) return 0;
  const lifetimeMs = Math.max(0, dateMs - modifiedMs) * policy.heuristicFraction;
  return Math.floor(Math.min(lifetimeMs, policy.heuristicMaxMs));
}

/**
 * The age of a response on arrival, in milliseconds (RFC 9111, 4.2.3). Of several `Age` values the first counts; an invalid one is ignored
 * (RFC 9111, 5.1).
 */
export function initialAgeMs(headers: HeaderRecord, { requestedAtMs, receivedAtMs }: ExchangeTimes): number {
  const dateMs = parseHttpDate(headers["date"], receivedAtMs);
  // `Date` has whole seconds, so the fraction of the arrival time is not part of the age.
  const receivedSecondMs = receivedAtMs - (receivedAtMs % 1_000);
  const apparentAgeMs = dateMs === null ? 0 : Math.max(0, receivedSecondMs - dateMs);
  const ageSeconds = parseDeltaSeconds((headers["age"] ?? "").split(",", 1)[0]?.trim() ?? "") ?? 0;
  const responseDelayMs = Math.max(0, receivedAtMs - requestedAtMs);
  return Math.max(apparentAgeMs, ageSeconds * 1_000 + responseDelayMs);
}

/**
 * Why a stored response may be served although the origin failed: `stale-if-error` (RFC 5861, 4), or because there is no connection (RFC 9111,
 * 4.2.4); `null` if it may not.
 */
export function staleOnErrorReason(
  stored: CacheEntry,
  requested: RequestDirectives,
  ageMs: number,
  failure: UpstreamFailure,
  policy: CachePolicy,
): ErrorReason | null {
  if (stored.validatesAlways || stored.isNeverStale || requested.noCache) return null;
  const staleForMs = Math.max(0, ageMs - stored.freshForMs);
  if (staleForMs < Math.max(stored.staleIfErrorMs, requested.staleIfErrorMs ?? 0)) return "stale-if-error";
  if (requested.maxAgeMs !== null || requested.minFreshMs !== null) return null;
  return failure === "unreachable" && staleForMs < policy.staleIfUnreachableMs ? "unreachable" : null;
}

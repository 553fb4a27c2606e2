import type { HeaderRecord } from "../fields/header-record.ts";
import { parseHttpDate } from "../fields/parse-http-date.ts";
import type { CachePolicy } from "./cache-policy.ts";
import type { ResponseHead } from "./cache-request.ts";
import type { ResponseDirectives } from "./response-directives.ts";

/** How long an answer is fresh, in milliseconds, and whether it says so itself. */
export interface Freshness {
  readonly lifetimeMs: number;
  readonly isExplicit: boolean;
}

/** Statuses whose answers may be stored though nothing says for how long (RFC 9110, 15.1), but 206, which is not stored. */
export const heuristicStatuses: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);

/** The freshness lifetime (RFC 9111, 4.2.1). */
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
    // An invalid date, `0` above all, lies in the past (RFC 9111, 5.3).
    const expiresMs = parseHttpDate(headers["expires"], receivedAtMs) ?? dateMs;
    return { lifetimeMs: Math.max(0, expiresMs - dateMs), isExplicit: true };
  }
  const mayGuess = heuristicStatuses.has(status) || directives.flags.has("public");
  return { lifetimeMs: mayGuess ? guess(headers, policy, dateMs, receivedAtMs) : 0, isExplicit: false };
}

function guess(headers: HeaderRecord, policy: CachePolicy, dateMs: number, nowMs: number): number {
  const modifiedMs = parseHttpDate(headers["last-modified"], nowMs);
  if (modifiedMs === null) return 0;
  const lifetimeMs = Math.max(0, dateMs - modifiedMs) * policy.heuristicFraction;
  return Math.floor(Math.min(lifetimeMs, policy.heuristicMaxMs));
}

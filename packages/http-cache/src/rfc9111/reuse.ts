/** Whether a stored response may be used for a request (RFC 9111, 4). */
import type { Bypass, Hit, HitReason, Miss, Revalidate, RevalidateReason } from "../engine/strategy.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import { type CacheEntry, currentAgeMs, isClockBehind } from "../ports.ts";
import { readRequestDirectives, type RequestDirectives } from "./directives.ts";
import type { CacheRequest } from "./messages.ts";
import type { CachePolicy } from "./policy.ts";
import { preferredLanguage, variantPart } from "./variant.ts";

/** The cache's decision about a request. */
export type Decision = Hit | Revalidate | Miss | Bypass | Unsatisfied;

/** Nothing stored can be used, and the client wants nothing else (`only-if-cached`): 504. */
export interface Unsatisfied {
  readonly kind: "unsatisfied";
  readonly reason: "only-if-cached";
}

/** Why a request is not looked up; `null` if it is. */
export function bypassReason(request: CacheRequest, policy: CachePolicy): Bypass["reason"] | null {
  const { method, headers } = request;
  if (method !== "GET" && method !== "HEAD") return "method";
  if (headers["if-match"] !== undefined || headers["if-unmodified-since"] !== undefined) return "precondition";
  return readRequestDirectives(headers, policy).noStore ? "no-store" : null;
}

/** Decides whether one of the responses stored for the request's resource may be used. */
export function decideReuse(
  request: CacheRequest,
  candidates: readonly CacheEntry[],
  policy: CachePolicy,
  nowMs: number,
): Hit | Revalidate | Miss {
  const stored = selectStored(request.headers, candidates, policy);
  if (stored === undefined)
    return {
      kind: "miss",
      reason: candidates.length === 0 ? "uri-miss" : "vary-miss",
      vary: candidates[0]?.vary ?? [],
    };
  const directives = readRequestDirectives(request.headers, policy);
  const ageMs = currentAgeMs(stored, nowMs);
  const ttlMs = stored.freshForMs - ageMs;
  const obstacle = obstacleToReuse(stored, directives, ageMs, ttlMs, nowMs);
  if (obstacle !== null) return { kind: "revalidate", reason: obstacle, stored, ageMs, ttlMs };
  const reason = ttlMs > 0 ? "fresh" : staleReason(stored, directives, -ttlMs);
  return reason === null
    ? { kind: "revalidate", reason: "stale", stored, ageMs, ttlMs }
    : { kind: "hit", reason, stored, ageMs, ttlMs };
}

const unsatisfied: Unsatisfied = { kind: "unsatisfied", reason: "only-if-cached" };

/** Applies `only-if-cached`, which forbids a request to the origin (RFC 9111, 5.2.1.7). */
export function applyOnlyIfCached<Other extends Hit | Revalidate | Miss | Bypass>(
  request: CacheRequest,
  decision: Other,
  policy: CachePolicy,
): Other | Unsatisfied {
  // An unsafe request always goes to the origin.
  if (decision.kind === "hit" || decision.reason === "method") return decision;
  return readRequestDirectives(request.headers, policy).onlyIfCached ? unsatisfied : decision;
}

function obstacleToReuse(
  stored: CacheEntry,
  directives: RequestDirectives,
  ageMs: number,
  ttlMs: number,
  nowMs: number,
): RevalidateReason | null {
  if (stored.validatesAlways) return "no-cache";
  if (isClockBehind(stored, nowMs)) return "clock";
  if (directives.noCache) return "request-no-cache";
  // A reload (`max-age=0`) does not validate an immutable response while it is fresh (RFC 8246, 2).
  const isSettled = stored.isImmutable && ttlMs > 0;
  if (directives.maxAgeMs !== null && ageMs > directives.maxAgeMs && !isSettled) return "request-max-age";
  return directives.minFreshMs !== null && ttlMs < directives.minFreshMs ? "request-min-fresh" : null;
}

/** Why a stale response may be used (RFC 9111, 4.2.4; RFC 5861, 3). For a request with `max-age` the origin's permission is not enough. */
function staleReason(stored: CacheEntry, directives: RequestDirectives, staleForMs: number): HitReason | null {
  if (stored.isNeverStale) return null;
  if (directives.maxStaleMs !== null && staleForMs <= directives.maxStaleMs) return "max-stale";
  return directives.maxAgeMs === null && staleForMs < stored.staleWhileRevalidateMs ? "stale-while-revalidate" : null;
}

/** Selects the stored response to use for the request (RFC 9111, 4.1); undefined if none matches. */
export function selectStored(
  headers: HeaderRecord,
  candidates: readonly CacheEntry[],
  policy: CachePolicy,
): CacheEntry | undefined {
  let selected: CacheEntry | undefined;
  for (const candidate of candidates) {
    if (!matches(candidate, headers, policy)) continue;
    if (selected === undefined || isPreferred(candidate, selected)) selected = candidate;
  }
  return selected;
}

/** True if a candidate has `Vary` and the other one does not, since some origins omit it from their default response; otherwise, if it is newer. */
function isPreferred(candidate: CacheEntry, other: CacheEntry): boolean {
  const varies = candidate.vary.length > 0;
  return varies === other.vary.length > 0 ? generatedAtMs(candidate) > generatedAtMs(other) : varies;
}

function generatedAtMs({ receivedAtMs, initialAgeMs }: CacheEntry): number {
  return receivedAtMs - initialAgeMs;
}

function matches(candidate: CacheEntry, headers: HeaderRecord, policy: CachePolicy): boolean {
  const { vary, variant } = candidate;
  for (let index = 0; index < vary.length; index++) {
    const name = vary[index] ?? "";
    if (variantPart(name, headers) === variant[index]) continue;
    if (name !== "accept-language" || !policy.matchesContentLanguage) return false;
    if (!isInPreferredLanguage(candidate, headers)) return false;
  }
  return true;
}

/** The origin has no better response than one in the most preferred language (RFC 9111, 4.1). */
function isInPreferredLanguage(
  { headers: { "content-language": language } }: CacheEntry,
  headers: HeaderRecord,
): boolean {
  const accepted = headers["accept-language"];
  if (language === undefined || accepted === undefined) return false;
  return preferredLanguage(accepted) === language.toLowerCase();
}

/** Whether a response may be stored, and which parts of it (RFC 9111, 3). */
import type { StoreRefusal } from "../engine/strategy.ts";
import { withoutConnectionFields } from "../fields/header-record.ts";
import { formatHttpDate } from "../fields/http-date.ts";
import { splitList } from "../fields/list.ts";
import type { CacheEntry } from "../ports.ts";
import { readResponseDirectives, readRequestDirectives, type ResponseDirectives } from "./directives.ts";
import { type Freshness, freshnessOf, heuristicStatuses, initialAgeMs } from "./freshness.ts";
import { groupsOf } from "./invalidation.ts";
import { type CacheRequest, type ExchangeTimes, isAuthorised, type ResponseHead } from "./messages.ts";
import type { CachePolicy } from "./policy.ts";
import { readVary, variantOf } from "./variant.ts";

/** Final statuses that this cache understands, as `must-understand` requires. */
const understoodStatuses: ReadonlySet<number> = new Set([
  200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409,
  410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511,
]);

const unstorableStatuses: ReadonlySet<number> = new Set([206, 304, 416]);

/** Why a response must not be stored, from its head alone (RFC 9111, 3); `null` if it may be. */
export function refusalToStore(
  request: CacheRequest,
  head: ResponseHead,
  directives: ResponseDirectives,
  freshness: Freshness,
  policy: CachePolicy,
): StoreRefusal | null {
  const { status, headers } = head;
  const { flags } = directives;
  const isShared = policy.mode === "shared";
  if (request.method !== "GET" && !isPostForGet(request, head, freshness)) return "method";
  // 206 would need the missing parts, 304 has no body, 416 is about the range, which is not part of the key, and a status below 200 is not final.
  if (status < 200 || status > 599 || unstorableStatuses.has(status)) return "status";
  // It is unknown how long the URL redirects there: the redirect itself may not be cacheable.
  if (head.isRedirected === true) return "redirected";
  if (readRequestDirectives(request.headers, policy).noStore) return "request-no-store";
  if (flags.has("must-understand")) {
    if (!understoodStatuses.has(status)) return "status";
  } else if (flags.has("no-store")) return "no-store";
  if (isShared && flags.has("private")) return "private";
  if (isShared && isAuthorised(request) && !allowsAuthorised(directives)) return "authorization";
  if (readVary(headers) === null) return "vary-star";
  if (policy.setCookie === "refuse" && headers["set-cookie"] !== undefined) return "set-cookie";
  const isStorable =
    freshness.isExplicit || heuristicStatuses.has(status) || flags.has("public") || (!isShared && flags.has("private"));
  return isStorable && isUseful(head, freshness, directives) ? null : "no-freshness";
}

/** True if a POST response is what GET would return: with explicit freshness, and the target as `Content-Location` (RFC 9110, 9.3.3). */
function isPostForGet({ method, url }: CacheRequest, { status, headers }: ResponseHead, freshness: Freshness): boolean {
  const location = headers["content-location"];
  if (method !== "POST" || status !== 200 || !freshness.isExplicit) return false;
  if (location === undefined || !URL.canParse(location, url)) return false;
  const [described, target] = [new URL(location, url), new URL(url)];
  described.hash = "";
  target.hash = "";
  return described.href === target.href;
}

/** RFC 9111, 3.5. */
function allowsAuthorised({ flags, sharedMaxAge }: ResponseDirectives): boolean {
  return flags.has("public") || flags.has("must-revalidate") || sharedMaxAge !== null;
}

/** False if the response is immediately stale and can be neither validated nor used stale. */
function isUseful({ headers }: ResponseHead, { lifetimeMs }: Freshness, directives: ResponseDirectives): boolean {
  if (headers["etag"] !== undefined || headers["last-modified"] !== undefined) return true;
  if (directives.flags.has("no-cache")) return false;
  return lifetimeMs > 0 || directives.staleWhileRevalidate !== null || directives.staleIfError !== null;
}

/** A response with its head evaluated: the entry that its body would be stored as, or why it must not be stored. */
export interface EvaluatedResponse {
  readonly refusal: StoreRefusal | null;
  toEntry(body: Uint8Array): CacheEntry;
}

/** Evaluates the head of a response for storage. */
export function evaluateResponse(
  request: CacheRequest,
  head: ResponseHead,
  times: ExchangeTimes,
  policy: CachePolicy,
): EvaluatedResponse {
  const directives = readResponseDirectives(head.headers, policy);
  const freshness = freshnessOf(head, directives, policy, times.receivedAtMs);
  const { flags, sharedMaxAge } = directives;
  const isShared = policy.mode === "shared";
  const toEntry = (body: Uint8Array): CacheEntry => {
    const vary = readVary(head.headers) ?? [];
    const age = initialAgeMs(head.headers, times);
    const staleWhileRevalidateMs = (directives.staleWhileRevalidate ?? 0) * 1_000;
    const staleIfErrorMs = (directives.staleIfError ?? 0) * 1_000;
    const keepStaleMs = Math.max(staleWhileRevalidateMs, staleIfErrorMs, policy.keepStaleMs);
    return {
      status: head.status,
      headers: storedFields(head, directives, times, policy),
      body,
      vary,
      variant: variantOf(vary, request.headers),
      receivedAtMs: times.receivedAtMs,
      initialAgeMs: age,
      freshForMs: freshness.lifetimeMs,
      staleWhileRevalidateMs,
      staleIfErrorMs,
      validatesAlways: flags.has("no-cache"),
      isNeverStale:
        flags.has("must-revalidate") || (isShared && (flags.has("proxy-revalidate") || sharedMaxAge !== null)),
      isImmutable: flags.has("immutable"),
      keepUntilMs: times.receivedAtMs + Math.max(0, freshness.lifetimeMs - age) + keepStaleMs,
      groups: groupsOf(head.headers, request),
    };
  };
  return { refusal: refusalToStore(request, head, directives, freshness, policy), toEntry };
}

/** The stored header fields (RFC 9111, 3.1). A missing `Date` is set to the time of arrival (RFC 9110, 6.6.1). */
function storedFields(
  { headers }: ResponseHead,
  { unstoredFields }: ResponseDirectives,
  { receivedAtMs }: ExchangeTimes,
  { setCookie }: CachePolicy,
): Record<string, string> {
  const fields = withoutConnectionFields(headers);
  delete fields["age"];
  if (setCookie === "omit") delete fields["set-cookie"];
  for (const name of unstoredFields) delete fields[name];
  fields["date"] ??= formatHttpDate(receivedAtMs);
  return fields;
}

/** True if the body has more or fewer bytes than announced (RFC 9111, 3.3). */
export function isIncomplete(head: ResponseHead, body: Uint8Array): boolean {
  const length = announcedLength(head);
  return length !== null && length !== body.length && head.isDecoded !== true;
}

/** The `Content-Length` of a response; `null` if it has none, `NaN` if it cannot be read. A list of equal lengths is one length (RFC 9110, 8.6). */
export function announcedLength({ headers }: Pick<ResponseHead, "headers">): number | null {
  const value = headers["content-length"];
  if (value === undefined) return null;
  const [length = "", ...others] = new Set(splitList(value));
  return others.length === 0 && /^[0-9]+$/.test(length) ? Number(length) : Number.NaN;
}

import type { CachePolicy } from "./cache-policy.ts";
import type { CacheRequest, ResponseHead } from "./cache-request.ts";
import { type Freshness, heuristicStatuses } from "./freshness.ts";
import { isPostForGet } from "./post-for-get.ts";
import { readRequestDirectives } from "./request-directives.ts";
import type { ResponseDirectives } from "./response-directives.ts";
import { readVary } from "./variant.ts";

/** Why an answer is not stored. A token, so that it may stand in `Cache-Status`. */
export type StoreRefusal =
  | "method"
  | "precondition"
  | "status"
  | "request-no-store"
  | "no-store"
  | "private"
  | "authorization"
  | "vary-star"
  | "set-cookie"
  | "no-freshness"
  | "incomplete"
  | "too-large"
  | "outdated"
  | "store-failed";

/** Final statuses that this cache knows the meaning of, which is what `must-understand` asks for. */
const understoodStatuses: ReadonlySet<number> = new Set([
  200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 305, 307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409,
  410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 511,
]);

/** Why an answer may not be stored, by its head alone (RFC 9111, 3); `null` when it may. */
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
  // 206 needs what completes it, 304 what it is about; whatever is below 200 is no answer yet.
  if (status < 200 || status > 599 || status === 206 || status === 304) return "status";
  if (readRequestDirectives(request.headers, policy).noStore) return "request-no-store";
  if (flags.has("must-understand")) {
    if (!understoodStatuses.has(status)) return "status";
  } else if (flags.has("no-store")) return "no-store";
  if (isShared && flags.has("private")) return "private";
  if (isShared && isAuthorised(request) && !allowsAuthorised(directives)) return "authorization";
  if (readVary(headers) === null) return "vary-star";
  if (policy.setCookie === "refuse" && headers["set-cookie"] !== undefined) return "set-cookie";
  const mayBeStored =
    freshness.isExplicit || heuristicStatuses.has(status) || flags.has("public") || (!isShared && flags.has("private"));
  return mayBeStored && isOfUse(head, freshness, directives) ? null : "no-freshness";
}

/** Whether a request carries credentials of its own. */
export function isAuthorised({ isAuthorised: told, headers }: CacheRequest): boolean {
  return told ?? headers["authorization"] !== undefined;
}

/** RFC 9111, 3.5. */
function allowsAuthorised({ flags, sharedMaxAge }: ResponseDirectives): boolean {
  return flags.has("public") || flags.has("must-revalidate") || sharedMaxAge !== null;
}

/** What is stale at once and can be neither validated nor used stale would be stored in vain. */
function isOfUse({ headers }: ResponseHead, { lifetimeMs }: Freshness, directives: ResponseDirectives): boolean {
  if (headers["etag"] !== undefined || headers["last-modified"] !== undefined) return true;
  if (directives.flags.has("no-cache")) return false;
  return lifetimeMs > 0 || directives.staleWhileRevalidate !== null || directives.staleIfError !== null;
}

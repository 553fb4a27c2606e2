import type { CacheRequest, ResponseHead } from "./cache-request.ts";
import type { Freshness } from "./freshness.ts";

/** True for an answer to POST that is what a GET would get: explicitly fresh, and with the target as `Content-Location` (RFC 9110, 9.3.3). */
export function isPostForGet(
  { method, url }: CacheRequest,
  { status, headers }: ResponseHead,
  freshness: Freshness,
): boolean {
  const location = headers["content-location"];
  if (method !== "POST" || status !== 200 || !freshness.isExplicit || freshness.lifetimeMs <= 0) return false;
  if (location === undefined || !URL.canParse(location, url)) return false;
  const [described, target] = [new URL(location, url), new URL(url)];
  described.hash = "";
  target.hash = "";
  return described.href === target.href;
}

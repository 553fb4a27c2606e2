import { withoutConnectionFields } from "../fields/connection-fields.ts";
import { groupsOf } from "./cache-groups.ts";
import { type ExchangeTimes, initialAgeMs } from "./age.ts";
import type { CachePolicy } from "./cache-policy.ts";
import type { CacheRequest, ResponseHead } from "./cache-request.ts";
import type { Freshness } from "./freshness.ts";
import type { ResponseDirectives } from "./response-directives.ts";
import type { StoredResponse } from "./stored-response.ts";
import { readVary, variantOf } from "./variant.ts";

/** An answer that may be stored, as it is stored. */
export function toStoredResponse(
  request: CacheRequest,
  head: ResponseHead,
  body: Uint8Array,
  directives: ResponseDirectives,
  freshness: Freshness,
  times: ExchangeTimes,
  policy: CachePolicy,
): StoredResponse {
  const { flags, sharedMaxAge, staleIfError, staleWhileRevalidate } = directives;
  const vary = readVary(head.headers) ?? [];
  const isShared = policy.mode === "shared";
  const age = initialAgeMs(head.headers, times);
  const staleWhileRevalidateMs = (staleWhileRevalidate ?? 0) * 1_000;
  const staleIfErrorMs = (staleIfError ?? 0) * 1_000;
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
}

/** What is stored of the fields (RFC 9111, 3.1). A missing date is the time of arrival (RFC 9110, 6.6.1). */
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
  fields["date"] ??= new Date(receivedAtMs).toUTCString();
  return fields;
}

import type { CacheAnswer, UpstreamAnswer } from "@letta-environments/http-cache";
import type { Sha256 } from "@letta-environments/platform";
import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import { revalidated } from "../finish-response.ts";
import { parseJsonObject } from "../upstream/parse-json-object.ts";
import type { CacheWindow, CacheWindows } from "./cache-plan.ts";
import { weakEntityTag } from "./weak-entity-tag.ts";

/** An answer of the gateway as the cache is to see it: its windows, its groups, its tag. */
export function toUpstreamAnswer(
  response: PlainResponse,
  windows: CacheWindows,
  groups: readonly string[],
  sha256: Sha256,
): UpstreamAnswer {
  const { status, headers } = response;
  const body = typeof response.body === "string" ? new TextEncoder().encode(response.body) : (response.body ?? nothing);
  const window = windows.get(status);
  if (window === undefined) {
    const told = isFault(response) ? notTransient : status;
    return { status: told, headers: { "cache-control": "no-store" }, body };
  }
  const value = status === 200 ? parseJsonObject(body) : null;
  return {
    status,
    headers: {
      ...withoutOwnFields(headers),
      "cache-control": cacheControl(window),
      "cache-groups": groups.map((group) => `"${group}"`).join(", "),
      ...(value !== null && { etag: weakEntityTag(value, sha256) }),
    },
    body,
  };
}

/** An answer of the cache as the caller is to see it. A browser may keep it, if it asks each time; nothing in between may. */
export function toPlainResponse(
  { status: keptStatus, headers, body: keptBody, report }: CacheAnswer,
  own: PlainResponse | null,
  showsStatus: boolean,
): PlainResponse {
  const { "cache-groups": _groups, "cache-status": cacheStatus, age, date, ...shown } = headers;
  // What was fetched for this request is told with all that the upstream said to it.
  const isOwn = report.outcome === "fetched" && own !== null;
  const { status, body } = isOwn ? own : { status: keptStatus, body: keptBody };
  const isReusable = shown["etag"] !== undefined && status === 200;
  return {
    status,
    headers: {
      ...shown,
      ...(isOwn && own.headers),
      // An age, and a date of before, tell as much as the status: that somebody has asked already.
      ...(showsStatus && age !== undefined && { age }),
      ...(showsStatus && date !== undefined && { date }),
      "cache-control": isReusable ? revalidated : "private, no-store",
      ...(showsStatus && cacheStatus !== undefined && { "cache-status": cacheStatus }),
    },
    body,
  };
}

/** The answer, or 304 in its place where the caller has it already (RFC 9110, section 13.1.2). */
export function notModified(response: PlainResponse, ifNoneMatch: string | null): PlainResponse {
  const tag = response.headers["etag"];
  if (ifNoneMatch === null || tag === undefined || response.status !== 200) return response;
  const isMatch =
    ifNoneMatch.trim() === "*" ||
    (ifNoneMatch.match(/(?:W\/)?"[\x21\x23-\x7e\x80-\xff]*"/g) ?? []).some((known) => opaque(known) === opaque(tag));
  if (!isMatch) return response;
  const { "content-type": _type, ...headers } = response.headers;
  return { status: 304, headers, body: null };
}

function opaque(tag: string): string {
  return tag.startsWith("W/") ? tag.slice(2) : tag;
}

/** In the place of a status for which an older answer would stand in. */
const notTransient = 424;

/** Failures that somebody has to mend, and that no older answer must hide: least of all one that was read with another credential. */
const faults: ReadonlySet<unknown> = new Set([
  "upstream_credential_rejected",
  "upstream_forbidden",
  "upstream_redirected",
  "upstream_invalid_response",
]);

function isFault({ status, body }: PlainResponse): boolean {
  return status >= 500 && faults.has(parseJsonObject(body)?.["errorCode"]);
}

/** Fields that speak of one request to the upstream, and are wrong in an answer to another. */
function withoutOwnFields(headers: PlainHeaders): PlainHeaders {
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name]) => !/^(?:ratelimit|x-ratelimit|retry-after|idempotency-replayed)/.test(name),
    ),
  );
}

function cacheControl({ freshSeconds, staleWhileRevalidateSeconds, staleIfErrorSeconds }: CacheWindow): string {
  return (
    `max-age=${freshSeconds}, stale-while-revalidate=${staleWhileRevalidateSeconds}, ` +
    `stale-if-error=${staleIfErrorSeconds}`
  );
}

const nothing = new Uint8Array();

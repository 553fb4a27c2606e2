import type { AskedAnswer, GivenAnswer } from "@letta-environments/http-cache";
import type { Sha256 } from "@letta-environments/platform";
import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import { revalidated } from "../http/response.ts";
import { parseJsonObject } from "../upstream/parse-json-object.ts";
import type { CacheWindows } from "./cache-plan.ts";
import { weakEntityTag } from "./weak-entity-tag.ts";

/** An answer of the upstream with its tag, and what of it is kept for how long. */
export function toAskedAnswer(
  response: PlainResponse,
  windows: CacheWindows,
  groups: readonly string[],
  sha256: Sha256,
): AskedAnswer<PlainResponse> {
  const window = windows.get(response.status);
  if (window === undefined) return { value: response, kept: null, isFailure: isFailure(response) };
  const body = typeof response.body === "string" ? new TextEncoder().encode(response.body) : (response.body ?? nothing);
  const object = response.status === 200 ? parseJsonObject(body) : null;
  const tag = object === null ? {} : { etag: weakEntityTag(object, sha256) };
  return {
    value: { ...response, headers: { ...response.headers, ...tag } },
    kept: { ...window, headers: { ...withoutOwnFields(response.headers), ...tag }, body, groups },
    isFailure: false,
  };
}

/** An answer of the cache as the caller is to see it. A browser may keep it, if it asks each time; nothing in between may. */
export function toPlainResponse(given: GivenAnswer<PlainResponse>, showsStatus: boolean): PlainResponse {
  // What was asked for now is told with all that the upstream said.
  const { status, headers, body } = given.kind === "asked" ? given.value : given.stored;
  const { date, ...shown } = headers;
  return {
    status,
    headers: {
      ...shown,
      "cache-control": shown["etag"] !== undefined && status === 200 ? revalidated : "private, no-store",
      // An age, and a date of before, tell as much as the status: that somebody has asked already.
      ...(showsStatus && {
        ...(date !== undefined && { date }),
        ...(given.kind === "stored" && { age: String(Math.floor(given.ageMs / 1_000)) }),
        "cache-status": given.cacheStatus,
      }),
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

/** Failures that an older answer may hide for a while (RFC 5861, section 4). */
const failures: ReadonlySet<number> = new Set([500, 502, 503, 504]);

/** Failures that somebody has to mend, and that no older answer must hide: least of all one that was read with another credential. */
const faults: ReadonlySet<unknown> = new Set([
  "upstream_credential_rejected",
  "upstream_forbidden",
  "upstream_redirected",
  "upstream_invalid_response",
]);

function isFailure({ status, body }: PlainResponse): boolean {
  return failures.has(status) && !faults.has(parseJsonObject(body)?.["errorCode"]);
}

/** Fields that speak of one request to the upstream, and are wrong in an answer to another. */
function withoutOwnFields(headers: PlainHeaders): PlainHeaders {
  return Object.fromEntries(
    Object.entries(headers).filter(
      ([name]) => !/^(?:ratelimit|x-ratelimit|retry-after|idempotency-replayed)/.test(name),
    ),
  );
}

const nothing = new Uint8Array();

/** Turns upstream responses into cache entries, and cache results into responses for callers, with their entity tags. */
import type { CacheResult, FetchedResponse } from "@letta-environments/http-cache";
import type { Sha256 } from "@letta-environments/platform";
import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import { isGatewayFailure } from "../http/gateway-failure.ts";
import { errorCodeOf, revalidated } from "../http/response.ts";
import { memoizeRecent } from "../lib/memoize-text.ts";
import type { TtlsByStatus } from "./policy.ts";

/** A response of the upstream, or of the gateway in its place. */
export interface Fetched {
  /** The status that `Cache-Status` names; 0 if the upstream may not have sent it. */
  readonly status: number;
  readonly response: PlainResponse;
}

/** Adds the entity tag to an upstream response, and decides which parts of it are stored, and for how long. */
export function toFetchedResponse(
  response: PlainResponse,
  ttlsByStatus: TtlsByStatus,
  groups: readonly string[],
  entityTagOf: EntityTagOf,
): FetchedResponse<Fetched> {
  const ttls = ttlsByStatus.get(response.status);
  if (ttls === undefined) {
    const value = { status: upstreamStatusOf(response), response };
    return { value, storable: null, isError: isReplaceableError(response) };
  }
  const body = typeof response.body === "string" ? encoder.encode(response.body) : (response.body ?? nothing);
  const headers =
    response.status === 200 ? { ...response.headers, etag: entityTagOf(response.body ?? "") } : response.headers;
  return {
    value: { status: response.status, response: { status: response.status, headers, body: response.body } },
    storable: { ...ttls, headers: withoutRequestFields(headers), body, groups },
    isError: false,
  };
}

/** Builds the client response for a cache result. Browsers may store it but must revalidate; shared caches must not store it. */
export function toClientResponse(result: CacheResult<Fetched>, showsStatus: boolean): PlainResponse {
  // A fresh fetch keeps every upstream header.
  const { status, headers, body } = result.kind === "fetched" ? result.value.response : result.entry;
  const shown: Record<string, string> = {
    ...headers,
    "cache-control": headers["etag"] !== undefined && status === 200 ? revalidated : "private, no-store",
  };
  if (showsStatus) {
    if (result.kind === "stored") shown["age"] = String(Math.floor(result.ageMs / 1_000));
    shown["cache-status"] = result.cacheStatus;
  } else {
    // `Age` and an old `Date` reveal the same thing as `Cache-Status`: that another caller made this request before.
    delete shown["date"];
  }
  return { status, headers: shown, body };
}

/** Errors that an operator has to fix. A stale response must not hide them, in particular one that was fetched with another credential. */
const operatorErrors: ReadonlySet<unknown> = new Set([
  "upstream_credential_rejected",
  "upstream_forbidden",
  "upstream_redirected",
  "upstream_invalid_response",
]);

/** Whether a stale response may be served instead of this one (RFC 5861, section 4, and the statuses of Cloudflare). */
function isReplaceableError(response: PlainResponse): boolean {
  const { status } = response;
  return (status === 500 || isGatewayFailure(status)) && !operatorErrors.has(errorCodeOf(response));
}

/**
 * The status of an error if it is the upstream's; otherwise 0. The gateway makes its own with the same codes as another gateway behind it, and replaces
 * some statuses by 502. A device that the caller may not see has the status of a missing one, whatever the upstream sent.
 */
function upstreamStatusOf(response: PlainResponse): number {
  const { status } = response;
  return status < 500 || (status !== 502 && errorCodeOf(response) === "upstream_error") ? status : 0;
}

/** Removes the fields that describe a single request to the upstream and would be wrong for a later one. */
function withoutRequestFields(headers: PlainHeaders): PlainHeaders {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (!requestFields.test(name)) kept[name] = value;
  return kept;
}

const requestFields = /^(?:ratelimit|x-ratelimit|retry-after|idempotency-replayed)/;
const nothing = new Uint8Array();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Heartbeat times are rounded down to this step, in milliseconds, so that a heartbeat alone rarely changes the tag. */
const heartbeatStepMs = 30_000;

/** A member with a heartbeat time in JSON. Inside a string, the quotation marks of such a name are escaped, so it does not match. */
const heartbeat = /("(?:lastHeartbeat|lastSeenAt)"\s*:\s*)([0-9]{1,15})(?=\s*[,}])/g;

/** Computes the weak entity tag (RFC 9110, section 8.8.3) of a JSON body with environments. */
export type EntityTagOf = (body: Uint8Array | string) => string;

/** Creates an {@link EntityTagOf}. */
export function createEntityTagOf(sha256: Sha256): EntityTagOf {
  const tagOf = memoizeRecent((text) => {
    const rounded = text.replace(heartbeat, (_, member: string, time: string) => {
      const timeMs = Number(time);
      return `${member}${timeMs - (timeMs % heartbeatStepMs)}`;
    });
    return `W/"${sha256(rounded).slice(0, 32)}"`;
  });
  return (body) => tagOf(typeof body === "string" ? body : decoder.decode(body));
}

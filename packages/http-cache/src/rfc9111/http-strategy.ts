/** The decisions of RFC 9111 for the cache engine. */
import { appendCacheStatus, fetchedStatus, storedStatus } from "../engine/cache-status.ts";
import {
  type CacheCall,
  type CacheStrategy,
  type Candidate,
  describesResource,
  type FetchDecision,
  type Forwarded,
  type ReadStored,
  type Recency,
  type Storage,
  type StoredUse,
  type StoreRefusal,
} from "../engine/strategy.ts";
import { type HeaderRecord, withoutConnectionFields, withoutFields } from "../fields/header-record.ts";
import { encodeKey } from "../key.ts";
import { parseHttpDate } from "../fields/http-date.ts";
import { type CacheEntry, type Clock, haveSameItems } from "../ports.ts";
import { readRequestDirectives } from "./directives.ts";
import { errorStatuses, staleOnErrorReason } from "./freshness.ts";
import { invalidationOf, isUnsafe } from "./invalidation.ts";
import {
  type CacheReport,
  type CacheRequest,
  type CacheResponse,
  type ExchangeTimes,
  type Forward,
  isAuthorised,
  type ResponseHead,
  type UnreadBody,
  type UpstreamResponse,
} from "./messages.ts";
import type { CachePolicy } from "./policy.ts";
import { prepareResponse } from "./prepare-response.ts";
import { bypassReason, decideReuse, selectStored } from "./reuse.ts";
import { announcedLength, evaluateResponse, isIncomplete } from "./storing.ts";
import { conditionalHeaders, headAgrees, mergeHeaders, validatedHeaders, validatorsAgree } from "./validation.ts";
import { variantOf } from "./variant.ts";

/** A request to the HTTP cache. */
export interface HttpCall extends CacheCall {
  readonly request: CacheRequest;
  readonly forward: Forward<UnreadBody>;
}

/** A response from the origin. */
interface HttpFetched {
  readonly response: UpstreamResponse<UnreadBody>;
  readonly times: ExchangeTimes;
  /** True for a 304 that validates the stored response. */
  readonly isValidation: boolean;
  readonly isError: boolean;
}

/** Creates the strategy of a cache with this name and policy. */
export function createHttpStrategy(
  name: string,
  policy: CachePolicy,
  clock: Clock,
): CacheStrategy<HttpCall, HttpFetched, CacheResponse<UnreadBody>> {
  return {
    bypassReason: ({ request }) => bypassReason(request, policy),
    decide: ({ request }, entries, nowMs) => decideReuse(request, entries, policy, nowMs),
    coalescingKey: (call, decision) => coalescingKey(call, decision, policy),
    // The directives of the client were about the stored response that it has received.
    toRevalidation: ({ request, ...call }) => ({
      ...call,
      request: { ...request, method: "GET", headers: withoutFields(request.headers, directiveFields) },
      signal: undefined,
    }),
    fetch: (call, decision, restartRecency) => fetchResponse(call, decision, clock, restartRecency),
    errorStatus: ({ isError, response }) => (isError ? response.status : null),
    staleOnErrorReason: ({ request }, { stored }, ageMs, failure) =>
      staleOnErrorReason(stored, readRequestDirectives(request.headers, policy), ageMs, failure, policy),
    discard: ({ response }) => discardBody(response.body),
    release: ({ body }) => discardBody(body),
    invalidatedBy: ({ request }, { response }) => (isUnsafe(request.method) ? invalidationOf(request, response) : null),
    toCandidate: async ({ request }, decision, fetched) =>
      asStoredVariant(
        await toCandidate(request, decision, fetched, policy),
        request,
        decision.kind === "revalidate" ? decision.stored : undefined,
      ),
    fromStored({ request }, use, forwarded) {
      const status = storedStatus(name, use, forwarded);
      const { status: code, headers, body } = prepareResponse(request, use.stored, use.ageMs, clock.now(), status);
      return { status: code, headers, body, report: storedReport(use, forwarded) };
    },
    fromFetched: (call, decision, fetched, storage, forwarded) =>
      fromFetched(name, call, decision, fetched, storage, forwarded),
  };
}

const directiveFields: ReadonlySet<string> = new Set(["cache-control", "pragma"]);

/** Discards an unread body, which would keep its connection in use. */
function discardBody(body: Uint8Array | UnreadBody | null): void {
  if (body !== null && !(body instanceof Uint8Array)) body.discard();
}

/**
 * Requests of one resource wait for each other, and, if the variants are known, of one variant. Requests with credentials wait separately, because
 * their responses are often for one client only and must not stop other requests from waiting.
 */
function coalescingKey({ key, request }: HttpCall, decision: FetchDecision, policy: CachePolicy): string | null {
  if (decision.kind === "bypass" || !canCoalesce(request, decision.kind, policy)) return null;
  const vary = decision.kind === "miss" ? decision.vary : decision.stored.vary;
  const credentials = isAuthorised(request) ? "authorised" : "";
  return encodeKey([key, credentials, ...variantOf(vary, request.headers)]);
}

/** True if the response can be useful to other requests: it is for the whole resource. */
function canCoalesce({ method, headers }: CacheRequest, kind: "miss" | "revalidate", policy: CachePolicy): boolean {
  if (method !== "GET") return false;
  // A client that wants a response from the origin gains nothing by waiting for another client's response.
  const { noCache, maxAgeMs } = readRequestDirectives(headers, policy);
  if (noCache || maxAgeMs === 0) return false;
  if (kind === "revalidate") return true;
  return ["range", "if-none-match", "if-modified-since"].every((field) => headers[field] === undefined);
}

/**
 * Fetches from the origin, and validates a stored response if there is one (RFC 9111, 4.3). A 304 applies only to a 200 (RFC 9110, 15.4.5). HEAD is
 * sent unchanged.
 */
async function fetchResponse(
  call: HttpCall,
  decision: FetchDecision,
  clock: Clock,
  restartRecency: () => Promise<void>,
): Promise<HttpFetched> {
  const { method, headers } = call.request;
  if (decision.kind !== "revalidate" || method === "HEAD") return send(call, headers, clock);
  const isConfirmable = decision.stored.status === 200;
  const stored = isConfirmable ? decision.stored.headers : {};
  const fetched = await send(call, conditionalHeaders(headers, stored), clock);
  const { status, headers: received, isRedirected } = fetched.response;
  if (status !== 304) return fetched;
  if (isConfirmable && isRedirected !== true && validatorsAgree(stored, received))
    return { ...fetched, isValidation: true };
  // The 304 is about another response, so the current one must be fetched (RFC 9111, 4.3.4).
  await restartRecency();
  return { ...(await send(call, conditionalHeaders(headers, {}), clock)), isError: false };
}

async function send({ request, forward, signal }: HttpCall, headers: HeaderRecord, clock: Clock): Promise<HttpFetched> {
  const requestedAtMs = clock.now();
  const response = await forward({ method: request.method, headers, signal });
  const times = { requestedAtMs, receivedAtMs: clock.now() };
  return { response, times, isValidation: false, isError: errorStatuses.has(response.status) };
}

async function toCandidate(
  request: CacheRequest,
  decision: FetchDecision,
  { response, times, isValidation }: HttpFetched,
  policy: CachePolicy,
): Promise<Candidate> {
  const stored = decision.kind === "revalidate" ? decision.stored : null;
  if (stored !== null && isValidation) return mergedCandidate(request, stored, response, times, policy);
  if (request.method === "HEAD") return headCandidate(request, stored, response, times, policy);
  if (decision.kind === "bypass" && request.method !== "POST")
    return refuse(request, response, times, decision.reason === "no-store" ? "request-no-store" : decision.reason);
  return receivedCandidate(request, response, times, policy);
}

/**
 * Stores a response without `Vary` as the variant that was stored for its request. Otherwise, look-ups would prefer the old variant, and once that is
 * stale, every request would go to the origin.
 */
function asStoredVariant(candidate: Candidate, { headers }: CacheRequest, stored: CacheEntry | undefined): Candidate {
  const { entry } = candidate;
  if (entry === null || entry.vary.length > 0 || stored === undefined) return candidate;
  const { vary } = stored;
  return { ...candidate, entry: { ...entry, vary, variant: variantOf(vary, headers) } };
}

/** The candidate for a response that was fetched elsewhere. */
export async function givenCandidate(
  request: CacheRequest,
  response: UpstreamResponse,
  times: ExchangeTimes,
  policy: CachePolicy,
  read: ReadStored,
): Promise<Candidate> {
  const candidate = await receivedCandidate(request, response, times, policy);
  if (candidate.refusal !== null || candidate.entry.vary.length > 0) return candidate;
  const stored = await read((entries) => selectStored(request.headers, entries, policy));
  return asStoredVariant(candidate, request, stored);
}

/** Reads the body of a response that may be stored. */
async function receivedCandidate(
  request: CacheRequest,
  response: UpstreamResponse<UnreadBody>,
  times: ExchangeTimes,
  policy: CachePolicy,
): Promise<Candidate> {
  const { refusal, toEntry } = evaluateResponse(request, response, times, policy);
  if (refusal !== null) return refuse(request, response, times, refusal);
  const { maxBodyBytes } = policy;
  if ((announcedLength(response) ?? 0) > maxBodyBytes) return refuse(request, response, times, "too-large");
  const body = response.body instanceof Uint8Array ? response.body : await response.body.read(maxBodyBytes);
  if (body === null || body.length > maxBodyBytes) return refuse(request, response, times, "too-large");
  return {
    describesResource: describesResource(response.status),
    recency: recencyOf(request, response, times, false),
    entry: toEntry(body),
    refusal: isIncomplete(response, body) ? "incomplete" : null,
  };
}

function refuse(request: CacheRequest, response: ResponseHead, times: ExchangeTimes, refusal: StoreRefusal): Candidate {
  const recency = recencyOf(request, response, times, false);
  return { describesResource: describesResource(response.status), recency, entry: null, refusal };
}

/** Which of two responses is the most recent (RFC 9111, 4). */
function recencyOf(
  { headers: requested }: CacheRequest,
  { headers }: Pick<ResponseHead, "headers">,
  { receivedAtMs }: ExchangeTimes,
  isUpdate: boolean,
): Recency {
  return {
    dateMs: parseHttpDate(headers["date"], receivedAtMs),
    isUpdate,
    matches: ({ vary, variant }) => haveSameItems(variantOf(vary, requested), variant),
  };
}

/** The stored response with the fields of a 304 or HEAD response (RFC 9111, 4.3.4). It is stored again if it still may be. */
function mergedCandidate(
  request: CacheRequest,
  stored: CacheEntry,
  received: { readonly headers: HeaderRecord },
  times: ExchangeTimes,
  policy: CachePolicy,
): Candidate {
  const head = { status: stored.status, headers: mergeHeaders(stored.headers, received.headers) };
  const { refusal, toEntry } = evaluateResponse(request, head, times, policy);
  const recency = recencyOf(request, received, times, true);
  return { describesResource: true, recency, entry: toEntry(stored.body), refusal };
}

/** A HEAD response updates the stored GET response, or invalidates it if they disagree (RFC 9111, 4.3.5). An error, or one without a validator, does neither. */
function headCandidate(
  request: CacheRequest,
  stored: CacheEntry | null,
  response: UpstreamResponse<UnreadBody>,
  times: ExchangeTimes,
  policy: CachePolicy,
): Candidate {
  const { status, isRedirected } = response;
  if (stored === null || isRedirected === true || !describesResource(status))
    return refuse(request, response, times, "method");
  const merged = mergedCandidate({ ...request, method: "GET" }, stored, response, times, policy);
  const agrees = headAgrees(stored, status, response.headers);
  if (merged.refusal !== null || agrees === true) return merged;
  return { ...merged, describesResource: agrees === false, refusal: "method" };
}

const hitReports: Readonly<Record<StoredUse["reason"], CacheReport>> = {
  fresh: { outcome: "hit", reason: "fresh", refusal: null, isCollapsed: null },
  "max-stale": { outcome: "hit", reason: "max-stale", refusal: null, isCollapsed: null },
  "stale-while-revalidate": { outcome: "hit", reason: "stale-while-revalidate", refusal: null, isCollapsed: null },
  "stale-if-error": { outcome: "stale", reason: "stale-if-error", refusal: null, isCollapsed: null },
  unreachable: { outcome: "stale", reason: "unreachable", refusal: null, isCollapsed: null },
};

function storedReport({ reason }: StoredUse, forwarded: Forwarded | null): CacheReport {
  if (forwarded === null) return hitReports[reason];
  const { isCollapsed } = forwarded;
  return isCollapsed === true
    ? { outcome: "hit", reason: "collapsed", refusal: null, isCollapsed }
    : { ...hitReports[reason], isCollapsed };
}

function fromFetched(
  name: string,
  { request }: HttpCall,
  decision: FetchDecision,
  { response, times, isValidation }: HttpFetched,
  storage: Storage,
  forwarded: Forwarded,
): CacheResponse<UnreadBody> {
  const { isCollapsed } = forwarded;
  // A HEAD response has no body to store, even if it updated the stored GET response.
  const { entry, refusal }: Storage = request.method === "HEAD" ? { entry: null, refusal: "method" } : storage;
  const detail = isValidation ? (refusal ?? decision.reason) : refusal;
  const status = fetchedStatus(name, forwarded, response.status, { entry, refusal }, detail);
  const report = { reason: decision.reason, refusal, isCollapsed };
  // The length of an incomplete body is not the total that a range states.
  if (decision.kind !== "revalidate" || entry === null || refusal === "incomplete") {
    const outcome = decision.kind === "bypass" ? "bypassed" : "fetched";
    return { ...passOn(response, status), report: { outcome, ...report } };
  }
  // The client's own conditions and range were not forwarded with a validation, so they are evaluated here.
  const headers = isValidation
    ? validatedHeaders(entry.headers, response.headers)
    : { ...entry.headers, ...withoutConnectionFields(response.headers) };
  const ageMs = isValidation ? entry.initialAgeMs : null;
  return {
    ...prepareResponse(request, withHeaders(entry, headers), ageMs, times.receivedAtMs, status),
    report: { outcome: isValidation ? "revalidated" : "fetched", ...report },
  };
}

/** The received response, without the fields of the connection to the origin. */
function passOn(
  { status, headers: received, body }: UpstreamResponse<UnreadBody>,
  cacheStatus: string,
): Omit<CacheResponse<UnreadBody>, "report"> {
  const headers = withoutConnectionFields(received);
  headers["cache-status"] = appendCacheStatus(received["cache-status"], cacheStatus);
  return { status, headers, body };
}

/** The entry with the fields that the client who requested them receives, some of which are not stored. */
function withHeaders(entry: CacheEntry, headers: HeaderRecord): CacheEntry {
  // `body` may be a getter of the store's entries.
  return { ...entry, body: entry.body, headers };
}

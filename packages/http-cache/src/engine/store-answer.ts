import type { ExchangeTimes } from "../decide/age.ts";
import type { CacheRequest, ResponseHead } from "../decide/cache-request.ts";
import { freshnessOf } from "../decide/freshness.ts";
import { readResponseDirectives } from "../decide/response-directives.ts";
import { refusalToStore, type StoreRefusal } from "../decide/refusal-to-store.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { toStoredResponse } from "../decide/to-stored-response.ts";
import { type CacheContext, keyOf } from "./cache-context.ts";
import type { LoggedFlight } from "./flight-log.ts";
import { putUnlessOutdated } from "./put-unless-outdated.ts";
import type { UnreadBody, UpstreamAnswer } from "./upstream.ts";

/** What became of an answer that might be stored. */
export interface StoreVerdict {
  /** The answer as it is or would be stored; `null` when its body was not read. */
  readonly stored: StoredResponse | null;
  /** `null` when it was stored. */
  readonly refusal: StoreRefusal | null;
}

/** Stores an answer of the upstream if it may be stored, and then tells how. */
export async function storeAnswer<Unread extends UnreadBody>(
  context: CacheContext,
  request: CacheRequest,
  answer: UpstreamAnswer<Unread>,
  times: ExchangeTimes,
  flight: LoggedFlight,
): Promise<StoreVerdict> {
  const { policy } = context;
  const directives = readResponseDirectives(answer.headers, policy);
  const freshness = freshnessOf(answer, directives, policy, times.receivedAtMs);
  const refusal =
    refusalToStore(request, answer, directives, freshness, policy) ?? refusalByLength(answer, policy.maxBodyBytes);
  if (refusal !== null) return { stored: null, refusal };
  const body = answer.body instanceof Uint8Array ? answer.body : await answer.body.read(policy.maxBodyBytes);
  if (body === null || body.length > policy.maxBodyBytes) return { stored: null, refusal: "too-large" };
  const stored = toStoredResponse(request, answer, body, directives, freshness, times, policy);
  if (isIncomplete(answer, body)) return { stored, refusal: "incomplete" };
  return { stored, refusal: await putUnlessOutdated(context, keyOf(request), stored, flight) };
}

function refusalByLength({ headers }: ResponseHead, maxBodyBytes: number): StoreRefusal | null {
  const length = headers["content-length"];
  return length !== undefined && /^[0-9]+$/.test(length) && Number(length) > maxBodyBytes ? "too-large" : null;
}

/** Fewer or more bytes than announced (RFC 9111, 3.3). Where a coding was undone on the way the announced length is another one. */
function isIncomplete({ headers }: ResponseHead, body: Uint8Array): boolean {
  const length = headers["content-length"];
  if (length === undefined || headers["content-encoding"] !== undefined) return false;
  return /^[0-9]+$/.test(length) && Number(length) !== body.length;
}

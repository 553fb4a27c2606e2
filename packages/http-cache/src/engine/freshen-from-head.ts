import type { ExchangeTimes } from "../decide/age.ts";
import type { CacheRequest, ResponseHead } from "../decide/cache-request.ts";
import { freshnessOf } from "../decide/freshness.ts";
import { refusalToStore } from "../decide/refusal-to-store.ts";
import { readResponseDirectives } from "../decide/response-directives.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { toStoredResponse } from "../decide/to-stored-response.ts";
import { headAgrees, mergeHeaders } from "../decide/validation.ts";
import { type CacheContext, changeStore, keyOf } from "./cache-context.ts";
import type { LoggedFlight } from "./flight-log.ts";
import { describesResource, spoilsStored } from "./judge-outcome.ts";
import { putUnlessOutdated } from "./put-unless-outdated.ts";

/**
 * Updates what is stored for GET by the answer to a HEAD that went upstream, or forgets it when the two do not agree (RFC 9111, 4.3.5). An error tells
 * nothing about it.
 */
export async function freshenFromHead(
  context: CacheContext,
  request: CacheRequest,
  stored: StoredResponse,
  received: ResponseHead,
  times: ExchangeTimes,
  flight: LoggedFlight,
): Promise<void> {
  if (!describesResource(received.status)) return;
  const { policy } = context;
  const asGet: CacheRequest = { ...request, method: "GET" };
  const head: ResponseHead = { status: stored.status, headers: mergeHeaders(stored.headers, received.headers) };
  const directives = readResponseDirectives(head.headers, policy);
  const freshness = freshnessOf(head, directives, policy, times.receivedAtMs);
  const refusal = refusalToStore(asGet, head, directives, freshness, policy);
  if (refusal !== null && !spoilsStored(refusal)) return;
  if (refusal !== null || !headAgrees(stored, received.status, received.headers)) {
    await changeStore(context, "store-delete", () => context.store.delete(keyOf(request)));
    return;
  }
  const updated = toStoredResponse(asGet, head, stored.body, directives, freshness, times, policy);
  await putUnlessOutdated(context, keyOf(request), updated, flight);
}

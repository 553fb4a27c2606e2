import type { ExchangeTimes } from "../decide/age.ts";
import type { ResponseHead } from "../decide/cache-request.ts";
import { freshnessOf } from "../decide/freshness.ts";
import { prepareAnswer } from "../decide/prepare-answer.ts";
import { refusalToStore, type StoreRefusal } from "../decide/refusal-to-store.ts";
import { readResponseDirectives } from "../decide/response-directives.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { toStoredResponse } from "../decide/to-stored-response.ts";
import { mergeHeaders } from "../decide/validation.ts";
import { formatCacheStatus } from "../fields/cache-status.ts";
import { type CacheContext, changeStore, keyOf } from "./cache-context.ts";
import { type Exchange, type Exchanged, forwardReasonOf } from "./exchange-subject.ts";
import type { LoggedFlight } from "./flight-log.ts";
import { isShareable, spoilsStored } from "./judge-outcome.ts";
import { putUnlessOutdated } from "./put-unless-outdated.ts";
import type { UnreadBody } from "./upstream.ts";

/** The stored answer, freshened by a 304 (RFC 9111, 4.3.4). It is stored anew if it still may be. */
export async function answerValidated<Unread extends UnreadBody>(
  context: CacheContext,
  { request, decision, isCollapsed }: Exchange<Unread>,
  stored: StoredResponse,
  received: ResponseHead,
  times: ExchangeTimes,
  flight: LoggedFlight,
): Promise<Exchanged<Unread>> {
  const { policy, name } = context;
  const head: ResponseHead = { status: stored.status, headers: mergeHeaders(stored.headers, received.headers) };
  const directives = readResponseDirectives(head.headers, policy);
  const freshness = freshnessOf(head, directives, policy, times.receivedAtMs);
  const updated = toStoredResponse(request, head, stored.body, directives, freshness, times, policy);
  let refusal: StoreRefusal | null = refusalToStore(request, head, directives, freshness, policy);
  if (refusal === null) refusal = await putUnlessOutdated(context, keyOf(request), updated, flight);
  else if (spoilsStored(refusal))
    await changeStore(context, "store-delete", () => context.store.delete(keyOf(request)));

  const ageMs = updated.initialAgeMs;
  const entry = formatCacheStatus(name, {
    forward: forwardReasonOf(decision),
    forwardStatus: received.status,
    ttlSeconds: refusal === null ? Math.floor((updated.freshForMs - ageMs) / 1_000) : null,
    isStored: refusal === null,
    isCollapsed,
    detail: refusal ?? decision.reason,
  });
  const answer = prepareAnswer(request, updated, ageMs, times.receivedAtMs, entry);
  return {
    answer: { ...answer, report: { outcome: "revalidated", reason: decision.reason, refusal, isCollapsed } },
    outcome: refusal === null && isShareable(updated) ? "stored" : "unshared",
  };
}

import type { CacheRequest } from "../decide/cache-request.ts";
import type { BypassReason } from "../decide/decision.ts";
import { isUnsafe } from "../decide/invalidated-urls.ts";
import type { CacheAnswer } from "./cache-answer.ts";
import { type CacheContext, keyOf } from "./cache-context.ts";
import { passOn } from "./answer-received.ts";
import { invalidateAfter } from "./invalidate.ts";
import { receivedStatus } from "./received-status.ts";
import { storeAnswer, type StoreVerdict } from "./store-answer.ts";
import type { Forward, UnreadBody } from "./upstream.ts";

/** Forwards a request that is not looked up. What is unsafe invalidates; an answer to POST may serve GET from then on. */
export async function passThrough<Unread extends UnreadBody>(
  context: CacheContext,
  request: CacheRequest,
  forward: Forward<Unread>,
  reason: BypassReason,
  signal: AbortSignal | undefined,
): Promise<CacheAnswer<Unread>> {
  const flight = context.flights.begin(keyOf(request));
  try {
    const requestedAtMs = context.clock.now();
    const answer = await forward({ method: request.method, headers: request.headers, signal });
    const times = { requestedAtMs, receivedAtMs: context.clock.now() };
    let verdict: StoreVerdict = { stored: null, refusal: reason === "no-store" ? "request-no-store" : reason };
    if (isUnsafe(request.method)) {
      // A change by another client while this one was on its way still counts, but not the change that this request made.
      const wasOutdated = flight.isOutdated([]);
      await invalidateAfter(context, request, answer);
      if (request.method === "POST" && !wasOutdated)
        verdict = await storeAnswer(context, request, answer, times, { isOutdated: () => false, end: () => undefined });
    }
    const { refusal } = verdict;
    const entry = receivedStatus(context.name, reason === "method" ? "method" : "bypass", answer.status, verdict, null);
    return passOn(answer, entry, { outcome: "bypassed", reason, refusal, isCollapsed: null });
  } finally {
    flight.end();
  }
}

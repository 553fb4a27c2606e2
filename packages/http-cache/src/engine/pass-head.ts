import { errorStatuses } from "../decide/stale-on-error.ts";
import { passOn } from "./answer-received.ts";
import type { CacheAnswer } from "./cache-answer.ts";
import { type CacheContext, keyOf } from "./cache-context.ts";
import { type Exchange, forwardReasonOf } from "./exchange-subject.ts";
import { freshenFromHead } from "./freshen-from-head.ts";
import { receivedStatus } from "./received-status.ts";
import { standIn } from "./stand-in.ts";
import type { UnreadBody, UpstreamAnswer } from "./upstream.ts";

/** Forwards a HEAD that nothing stored could answer; what is stored for GET learns from the answer, or stands in for it when there is none. */
export async function passHead<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
): Promise<CacheAnswer<Unread>> {
  const { request, forward, decision, signal } = subject;
  const stored = decision.kind === "revalidate" ? decision.stored : null;
  const flight = context.flights.begin(keyOf(request));
  try {
    const requestedAtMs = context.clock.now();
    let answer: UpstreamAnswer<Unread>;
    try {
      answer = await forward({ method: request.method, headers: request.headers, signal });
    } catch (cause) {
      const stale =
        stored === null || signal?.aborted === true ? null : standIn(context, subject, stored, "unreachable");
      if (stale === null) throw cause;
      return stale.answer;
    }
    if (stored !== null && errorStatuses.has(answer.status)) {
      const stale = standIn(context, subject, stored, "error-status");
      if (stale !== null) return stale.answer;
    }
    const times = { requestedAtMs, receivedAtMs: context.clock.now() };
    if (stored !== null) await freshenFromHead(context, request, stored, answer, times, flight);
    const status = receivedStatus(
      context.name,
      forwardReasonOf(decision),
      answer.status,
      { stored: null, refusal: "method" },
      null,
    );
    return passOn(answer, status, {
      outcome: "fetched",
      reason: decision.reason,
      refusal: "method",
      isCollapsed: null,
    });
  } finally {
    flight.end();
  }
}

import { currentAgeMs } from "../decide/age.ts";
import { readRequestDirectives } from "../decide/request-directives.ts";
import { staleOnErrorReason, type UpstreamTrouble } from "../decide/stale-on-error.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { answerStale } from "./answer-stale.ts";
import type { CacheContext } from "./cache-context.ts";
import type { Exchange, Exchanged } from "./exchange-subject.ts";
import type { UnreadBody } from "./upstream.ts";

/** The stored answer in the place of the upstream's, where that is allowed; `null` where it is not. */
export function standIn<Unread extends UnreadBody>(
  context: CacheContext,
  subject: Exchange<Unread>,
  stored: StoredResponse,
  trouble: UpstreamTrouble,
): Exchanged<Unread> | null {
  const nowMs = context.clock.now();
  const wishes = readRequestDirectives(subject.request.headers, context.policy);
  const ageMs = currentAgeMs(stored, nowMs);
  const reason = staleOnErrorReason(stored, wishes, ageMs, trouble, context.policy);
  return reason === null
    ? null
    : { answer: answerStale(context, subject, stored, ageMs, nowMs, reason), outcome: "failed" };
}

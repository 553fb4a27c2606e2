import { prepareAnswer } from "../decide/prepare-answer.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { formatCacheStatus } from "../fields/cache-status.ts";
import type { CacheAnswer } from "./cache-answer.ts";
import type { CacheContext } from "./cache-context.ts";
import { type Exchange, forwardReasonOf } from "./exchange-subject.ts";
import type { UnreadBody } from "./upstream.ts";

/** The stored answer in the place of one that the upstream could not give. */
export function answerStale<Unread extends UnreadBody>(
  context: CacheContext,
  { request, decision, isCollapsed }: Exchange<Unread>,
  stored: StoredResponse,
  ageMs: number,
  nowMs: number,
  reason: "stale-if-error" | "unreachable",
): CacheAnswer {
  const entry = formatCacheStatus(context.name, {
    forward: forwardReasonOf(decision),
    forwardStatus: null,
    ttlSeconds: Math.floor((stored.freshForMs - ageMs) / 1_000),
    isStored: false,
    isCollapsed,
    detail: reason,
  });
  const answer = prepareAnswer(request, stored, ageMs, nowMs, entry);
  return { ...answer, report: { outcome: "stale", reason, refusal: null, isCollapsed } };
}

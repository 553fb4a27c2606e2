import type { CacheRequest } from "../decide/cache-request.ts";
import type { Hit } from "../decide/decision.ts";
import { prepareAnswer } from "../decide/prepare-answer.ts";
import { formatCacheStatus } from "../fields/cache-status.ts";
import type { CacheAnswer, CacheReport } from "./cache-answer.ts";
import type { CacheContext } from "./cache-context.ts";

const hits: Readonly<Record<Hit["reason"], CacheReport>> = {
  fresh: { outcome: "hit", reason: "fresh", refusal: null, isCollapsed: null },
  "max-stale": { outcome: "hit", reason: "max-stale", refusal: null, isCollapsed: null },
  "stale-while-revalidate": { outcome: "hit", reason: "stale-while-revalidate", refusal: null, isCollapsed: null },
};

/** The answer to a request that a stored answer may be used for. Synchronous, and the whole of what a hit costs beside `lookUp`. */
export function answerHit(context: CacheContext, request: CacheRequest, hit: Hit, nowMs: number): CacheAnswer {
  const { reason, stored, ageMs, ttlMs } = hit;
  const ttl = `${context.name}; hit; ttl=${Math.floor(ttlMs / 1_000)}`;
  const status = reason === "fresh" ? ttl : `${ttl}; detail=${reason}`;
  const { status: code, headers, body } = prepareAnswer(request, stored, ageMs, nowMs, status);
  return { status: code, headers, body, report: hits[reason] };
}

/** The same for a request that waited for another one's answer: it was to be forwarded, and was spared it. */
export function answerCollapsed(
  context: CacheContext,
  request: CacheRequest,
  hit: Hit,
  forward: "uri-miss" | "vary-miss" | "stale" | "request",
  nowMs: number,
): CacheAnswer {
  const entry = formatCacheStatus(context.name, {
    forward,
    forwardStatus: null,
    ttlSeconds: Math.floor(hit.ttlMs / 1_000),
    isStored: false,
    isCollapsed: true,
    detail: null,
  });
  const answer = prepareAnswer(request, hit.stored, hit.ageMs, nowMs, entry);
  return { ...answer, report: { outcome: "hit", reason: "collapsed", refusal: null, isCollapsed: true } };
}

/** 504 for a client that wants nothing but what is stored (RFC 9111, 5.2.1.7). */
export function answerUnsatisfied({ name }: CacheContext): CacheAnswer {
  return {
    status: 504,
    headers: { "cache-status": `${name}; detail=only-if-cached`, "cache-control": "no-store", "content-length": "0" },
    body: null,
    report: { outcome: "unsatisfied", reason: "only-if-cached", refusal: null, isCollapsed: null },
  };
}

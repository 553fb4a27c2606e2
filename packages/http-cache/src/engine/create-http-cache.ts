import type { ExchangeTimes } from "../decide/age.ts";
import { type CachePolicy, createPolicy } from "../decide/cache-policy.ts";
import type { CacheRequest } from "../decide/cache-request.ts";
import { bypassReason, decideReuse } from "../decide/decide-reuse.ts";
import type { Decision, Hit } from "../decide/decision.ts";
import type { StoreRefusal } from "../decide/refusal-to-store.ts";
import { type CacheTarget, cacheKey, groupKey } from "../keys/cache-key.ts";
import type { Background, CacheStore, Clock, Coalescer, MaybePromise } from "../ports.ts";
import { noCoalescing } from "../coalesce/no-coalescing.ts";
import { checkToken } from "../fields/check-token.ts";
import { answerHit, answerUnsatisfied } from "./answer-hit.ts";
import type { CacheAnswer } from "./cache-answer.ts";
import { type CacheContext, type CacheTrouble, keyOf, readStore } from "./cache-context.ts";
import { fetchCoalesced } from "./fetch-coalesced.ts";
import { createFlightLog } from "./flight-log.ts";
import { invalidateGroupKey, invalidateKey } from "./invalidate.ts";
import type { Exchange } from "./exchange-subject.ts";
import { passHead } from "./pass-head.ts";
import { passThrough } from "./pass-through.ts";
import { refreshInBackground } from "./refresh-in-background.ts";
import { storeAnswer } from "./store-answer.ts";
import type { Forward, UnreadBody, UpstreamAnswer } from "./upstream.ts";

/** What a cache is made of. */
export interface HttpCacheOptions {
  readonly store: CacheStore;
  readonly clock: Clock;
  /** Default: none, so each miss goes upstream. */
  readonly coalescer?: Coalescer;
  /** Default: the work is left to run. */
  readonly background?: Background;
  /** How this cache calls itself in `Cache-Status`: a token. Default: `http-cache`. */
  readonly name?: string;
  readonly policy?: Partial<CachePolicy>;
  /** Told what went wrong where the client got its answer all the same. It must not throw. */
  readonly onTrouble?: (trouble: CacheTrouble, cause: unknown) => void;
}

/** What belongs to one request. */
export interface HandleOptions {
  /** Aborts when the client goes away. */
  readonly signal?: AbortSignal | undefined;
  /** In the place of the cache's own, where each request brings its `waitUntil`. */
  readonly background?: Background | undefined;
}

/** A cache over plain values. With a synchronous store `lookUp`, `answer` and the hits of `handle` are synchronous. */
export interface HttpCache {
  readonly policy: CachePolicy;
  /** What is to be done with a request. */
  lookUp(request: CacheRequest): MaybePromise<Decision>;
  /** The answer to a hit. */
  answer(request: CacheRequest, hit: Hit): CacheAnswer;
  /** All of it: answers from what is stored, or asks the upstream, stores, validates and invalidates. Rejects as `forward` does. */
  handle<Unread extends UnreadBody = never>(
    request: CacheRequest,
    forward: Forward<Unread>,
    options?: HandleOptions,
  ): MaybePromise<CacheAnswer<Unread>>;
  /** Stores an answer that was got elsewhere; resolves with why not, or with `null`. */
  store(request: CacheRequest, answer: UpstreamAnswer, times: ExchangeTimes): Promise<StoreRefusal | null>;
  /** Forgets a resource of a partition. */
  invalidate(target: CacheTarget): Promise<void>;
  /** Forgets the answers of a group at the target's origin, in its partition. */
  invalidateGroup(target: CacheTarget, group: string): Promise<void>;
}

/**
 * Creates a cache.
 *
 * @throws TypeError when the name is no token
 */
export function createHttpCache(options: HttpCacheOptions): HttpCache {
  const context = createContext(options);
  const { policy, clock } = context;

  function lookUp(request: CacheRequest): MaybePromise<Decision> {
    const bypass = bypassReason(request, policy);
    if (bypass !== null) return { kind: "bypass", reason: bypass };
    const found = readStore(context, keyOf(request));
    return found instanceof Promise
      ? found.then((candidates) => decideReuse(request, candidates, policy, clock.now()))
      : decideReuse(request, found, policy, clock.now());
  }

  function ask<Unread extends UnreadBody>(subject: Exchange<Unread>): Promise<CacheAnswer<Unread>> {
    return subject.request.method === "HEAD" ? passHead(context, subject) : fetchCoalesced(context, subject, lookUp);
  }

  function act<Unread extends UnreadBody>(
    request: CacheRequest,
    decision: Decision,
    forward: Forward<Unread>,
    { signal, background = context.background }: HandleOptions,
  ): MaybePromise<CacheAnswer<Unread>> {
    switch (decision.kind) {
      case "hit":
        if (decision.reason === "stale-while-revalidate")
          refreshInBackground(context, request, forward, decision, background);
        return answerHit(context, request, decision, clock.now());
      case "bypass":
        return passThrough(context, request, forward, decision.reason, signal);
      case "unsatisfied":
        return answerUnsatisfied(context);
      case "miss":
      case "revalidate":
        return ask({ request, forward, decision, isCollapsed: null, signal });
    }
  }

  return {
    policy,
    lookUp,
    answer: (request, hit) => answerHit(context, request, hit, clock.now()),
    handle(request, forward, handleOptions = {}) {
      const decision = lookUp(request);
      return decision instanceof Promise
        ? decision.then((decided) => act(request, decided, forward, handleOptions))
        : act(request, decision, forward, handleOptions);
    },
    async store(request, answer, times) {
      const flight = context.flights.begin(keyOf(request));
      const { refusal } = await storeAnswer(context, request, answer, times, flight);
      flight.end();
      return refusal;
    },
    invalidate: (target) => invalidateKey(context, cacheKey(target)),
    invalidateGroup: (target, group) => invalidateGroupKey(context, groupKey(target, group)),
  };
}

function createContext(options: HttpCacheOptions): CacheContext {
  const { store, clock, coalescer = noCoalescing, name = "http-cache" } = options;
  checkToken(name);
  return {
    name,
    policy: createPolicy(options.policy),
    store,
    clock,
    coalescer,
    background: options.background ?? (() => undefined),
    flights: createFlightLog(),
    onTrouble: options.onTrouble ?? (() => undefined),
  };
}

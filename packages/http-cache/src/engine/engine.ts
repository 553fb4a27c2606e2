/** The life of cached responses, from lookup to storing, for every kind of cache. Decisions are those of a strategy (`strategy.ts`). */
import type { Background, CacheStore, Clock, Coalescer, MaybePromise } from "../ports.ts";
import { checkCacheName } from "./cache-status.ts";
import { type CoalescingSteps, createCoalescing, revalidateOnce } from "./coalesce.ts";
import { createExchange, put, toForwarded } from "./exchange.ts";
import { type CacheFailure, GuardedStore } from "./guarded-store.ts";
import { noCoalescing } from "./in-process-coalescer.ts";
import type {
  CacheCall,
  CacheStrategy,
  Candidate,
  FetchDecision,
  Hit,
  Invalidation,
  ReadStored,
  Revalidate,
  StoreRefusal,
} from "./strategy.ts";

/** The options that every cache has. */
export interface CacheOptions {
  readonly store: CacheStore;
  readonly clock: Clock;
  /** Default: no coalescing, so each miss goes to the origin. */
  readonly coalescer?: Coalescer;
  /** Default: background work runs without being kept alive. */
  readonly background?: Background;
  /** The name of this cache in `Cache-Status`: a token. Default: `http-cache`. */
  readonly name?: string;
  /** Receives failures that do not affect the response. It must not throw. */
  readonly onError?: (failure: CacheFailure, cause: unknown) => void;
}

export const defaultName = "http-cache";

/** The life of cached responses; see {@link CacheStrategy}. With a synchronous store, `lookUp` and a hit of `proceed` are synchronous. */
export interface CacheEngine<Call, Result> {
  /** Decides what to do with a call. */
  lookUp(call: Call): MaybePromise<Hit | FetchDecision>;
  /** Carries out a decision: returns the stored response, or fetches. Rejects like the strategy's `fetch`. */
  proceed(call: Call, decision: Hit | FetchDecision): MaybePromise<Result>;
  /** Stores a response that was fetched elsewhere. Resolves to the reason if it was not stored, else to `null`. */
  store(key: string, toCandidate: (read: ReadStored) => MaybePromise<Candidate>): Promise<StoreRefusal | null>;
  /** Deletes stored responses; responses that are in flight are not stored. Rejects if a deletion fails, after all were tried. */
  invalidate(invalidation: Partial<Invalidation>): Promise<void>;
}

/**
 * Creates a {@link CacheEngine}.
 *
 * @throws TypeError if the name is not a token
 */
export function createCacheEngine<Call extends CacheCall, Fetched, Result>(
  options: CacheOptions,
  strategy: CacheStrategy<Call, Fetched, Result>,
): CacheEngine<Call, Result> {
  const { clock, coalescer = noCoalescing, onError = ignore, name = defaultName } = options;
  checkCacheName(name);
  const store = new GuardedStore(options.store, onError);

  function lookUp(call: Call): MaybePromise<Hit | FetchDecision> {
    const bypass = strategy.bypassReason(call);
    if (bypass !== null) return { kind: "bypass", reason: bypass };
    return store.get<Hit | FetchDecision>(call.key, (entries) => strategy.decide(call, entries, clock.now()));
  }

  function proceed(call: Call, decision: Hit | FetchDecision): MaybePromise<Result> {
    if (decision.kind !== "hit") return coalesce({ call, decision, isCollapsed: null });
    if (decision.reason === "stale-while-revalidate") revalidateInBackground(call, decision);
    return strategy.fromStored(call, decision, null);
  }

  function revalidateInBackground(call: Call, { stored, ageMs, ttlMs }: Hit): void {
    const revalidation = strategy.toRevalidation(call);
    const decision: Revalidate = { kind: "revalidate", reason: "stale", stored, ageMs, ttlMs };
    revalidateOnce(
      coalescer,
      strategy.coalescingKey(revalidation, decision) ?? call.key,
      async () => {
        const exchanged = await exchange({ call: revalidation, decision, isCollapsed: null }, true);
        strategy.release?.(exchanged.result);
        return exchanged;
      },
      call.background ?? options.background ?? ignore,
      (cause) => onError("background", cause),
    );
  }

  const exchange = createExchange(strategy, store, clock);
  const steps: CoalescingSteps<Call, Result> = {
    keyOf: ({ call, decision }) => strategy.coalescingKey(call, decision),
    exchange,
    async lookAgain(pending) {
      const { call } = pending;
      const decision = await lookUp(call);
      if (decision.kind !== "hit") return { pending: { ...pending, decision } };
      return { result: strategy.fromStored(call, decision, toForwarded({ ...pending, isCollapsed: true })) };
    },
  };
  const coalesce = createCoalescing(coalescer, steps);

  return {
    lookUp,
    proceed,
    async store(key, toCandidate) {
      const inFlight = store.begin(key, []);
      try {
        await inFlight.ready;
        return await put(inFlight, await toCandidate((choose) => store.get(key, choose)));
      } finally {
        inFlight.end();
      }
    },
    invalidate: (invalidation) => store.invalidate(invalidation),
  };
}

function ignore(): void {}

import type { CacheEntry, CacheStore, MaybePromise } from "../ports.ts";
import { createInFlightRequests, inFlightRefusal, type InFlightState, isSuperseded } from "./in-flight.ts";
import type { Invalidation } from "./strategy.ts";

/** A step that failed without affecting the response that the client gets. */
export type CacheFailure = "store-get" | "store-put" | "store-delete" | "background";

/**
 * Access to a {@link CacheStore} with three guarantees: a store that fails never fails a request, a response that was requested before an
 * invalidation is not stored after it, and neither is one after a response of the same variant that was requested later.
 */
export interface GuardedStore {
  /** The entries under a key; none if the store fails. */
  get(key: string): MaybePromise<readonly CacheEntry[]>;
  /** Deletes entries, and marks requests that are in flight so that their responses are not stored. */
  invalidate(invalidation: Partial<Invalidation>): Promise<void>;
  /** Registers a request before it is sent to the origin. `groups`: see {@link CacheStore.begin}; `null` if the response will not be stored. */
  begin(key: string, groups: readonly string[] | null): InFlightRequest;
}

/** A request that was sent to the origin and has not finished. */
export interface InFlightRequest {
  /** Resolves when the request may be sent to the origin, and never rejects; `null`: at once. */
  readonly ready: Promise<void> | null;
  /** Stores the response unless it was invalidated or superseded in the meantime. Returns the reason if it was not stored, else `null`. */
  put(entry: CacheEntry): MaybePromise<PutRefusal | null>;
  /** Deletes what is stored under the key, because the response shows that this entry is outdated. Keeps a response that was requested later. */
  deleteStored(stored: CacheEntry): Promise<void>;
  /**
   * Invalidates as {@link GuardedStore.invalidate} does, but not for this request itself: its response already reflects the change. A store with
   * {@link CacheStore.begin} cannot tell these deletions from those of others, and does not store the response if they concern it.
   */
  invalidateOthers(invalidation: Invalidation): Promise<void>;
  end(): void;
}

/** Why a response was not stored: it was invalidated, a newer one was stored, or the store failed. */
type PutRefusal = "outdated" | "superseded" | "store-failed";

/** Returns a function that runs a step of the store and returns its result, or another one if it fails. */
function createAttempts(onError: (failure: CacheFailure, cause: unknown) => void) {
  return <Result, Failed>(
    failure: CacheFailure,
    run: () => MaybePromise<Result>,
    failed: Failed,
  ): MaybePromise<Result | Failed> => {
    const fail = (cause: unknown): Failed => {
      onError(failure, cause);
      return failed;
    };
    try {
      const running = run();
      return running instanceof Promise ? running.catch(fail) : running;
    } catch (cause) {
      return fail(cause);
    }
  };
}

/** Stores a response and returns the reason if it was not stored. */
type Put = (entry: CacheEntry) => MaybePromise<boolean | "store-failed" | void>;

const putNothing: Put = () => "store-failed";

function refusalOf(stored: boolean | "store-failed" | void): "outdated" | "store-failed" | null {
  return stored === false ? "outdated" : stored === "store-failed" ? stored : null;
}

const nothing: readonly CacheEntry[] = [];

/** Creates a {@link GuardedStore}. It remembers requests only while they are in flight. */
export function createGuardedStore(
  store: CacheStore,
  onError: (failure: CacheFailure, cause: unknown) => void,
): GuardedStore {
  const inFlight = createInFlightRequests();

  const attempt = createAttempts(onError);

  async function remove(key: string): Promise<void> {
    await attempt("store-delete", () => store.delete(key), null);
  }

  async function invalidate(
    { keys = [], groups = [] }: Partial<Invalidation>,
    except: InFlightState | null,
  ): Promise<void> {
    inFlight.invalidate({ keys, groups }, except);
    await Promise.all([
      ...keys.map(remove),
      ...groups.map((group) => attempt("store-delete", () => store.deleteGroup(group), null)),
    ]);
  }

  function begin(key: string, groups: readonly string[] | null): InFlightRequest {
    const state = inFlight.add(key);
    let putFetched: Put = (entry) => store.put(key, entry);
    async function open(known: readonly string[]): Promise<void> {
      putFetched = await attempt("store-put", () => store.begin?.(key, known) ?? putFetched, putNothing);
    }
    const ready = groups === null || store.begin === undefined ? null : open(groups);
    // A remote store may have finished an invalidation, or the write of a newer response, before this write. Undo the write then.
    const undo = async (): Promise<"outdated"> => {
      await remove(key);
      return "outdated";
    };
    return {
      ready,
      put(entry) {
        const refusal = inFlightRefusal(state, entry);
        if (refusal !== null) return refusal;
        // Before the write, so that an older response which arrives meanwhile is not written too.
        inFlight.supersede(state, entry);
        const stored = attempt("store-put", () => putFetched(entry), "store-failed" as const);
        if (!(stored instanceof Promise)) return refusalOf(stored);
        return stored.then((result) => refusalOf(result) ?? (inFlightRefusal(state, entry) === null ? null : undo()));
      },
      async deleteStored(stored) {
        if (isSuperseded(state, stored)) return;
        inFlight.supersede(state, null);
        await remove(key);
      },
      invalidateOthers: (invalidation) => invalidate(invalidation, state),
      end: () => inFlight.remove(state),
    };
  }

  return {
    get: (key) => attempt("store-get", () => store.get(key), nothing),
    invalidate: (invalidation) => invalidate(invalidation, null),
    begin,
  };
}

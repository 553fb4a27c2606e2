import type { CacheEntry, CacheStore, MaybePromise, PutFetched } from "../ports.ts";
import type { Invalidation } from "./strategy.ts";

/** A step that failed without affecting the response that the client gets. */
export type CacheFailure = "store-get" | "store-put" | "store-delete" | "background";

/**
 * Access to a {@link CacheStore} with two guarantees: a store that fails never fails a request, and a response that was requested before an
 * invalidation is not stored after it.
 */
export interface GuardedStore {
  /** The entries under a key; none if the store fails. */
  get(key: string): MaybePromise<readonly CacheEntry[]>;
  delete(key: string): Promise<void>;
  /** Deletes entries, and marks requests that are in flight so that their responses are not stored. */
  invalidate(invalidation: Partial<Invalidation>): Promise<void>;
  /** Registers a request before it is sent to the origin. `groups`: see {@link CacheStore.begin}; `null` if the response will not be stored. */
  begin(key: string, groups: readonly string[] | null): InFlightRequest;
}

/** A request that was sent to the origin and has not finished. */
export interface InFlightRequest {
  /** Resolves when the request may be sent to the origin, and never rejects; `null`: at once. */
  readonly ready: Promise<void> | null;
  /** Stores the response unless it was invalidated in the meantime. Returns the reason if it was not stored, else `null`. */
  put(entry: CacheEntry): MaybePromise<"outdated" | "store-failed" | null>;
  /** Invalidates as {@link GuardedStore.invalidate} does, but not for this request itself: its response already reflects the change. */
  invalidateOthers(invalidation: Invalidation): Promise<void>;
  end(): void;
}

interface InFlightState {
  readonly key: string;
  isOutdated: boolean;
  /** `null` for none. */
  outdatedGroups: Set<string> | null;
}

/** Returns a function that runs a step of the store and returns its result, or `null` if it fails. */
function createAttempts(onError: (failure: CacheFailure, cause: unknown) => void) {
  return <Result>(failure: CacheFailure, run: () => MaybePromise<Result>): MaybePromise<Result | null> => {
    const fail = (cause: unknown): null => {
      onError(failure, cause);
      return null;
    };
    try {
      const running = run();
      return running instanceof Promise ? running.catch(fail) : running;
    } catch (cause) {
      return fail(cause);
    }
  };
}

/** How a store stores that only this process uses. */
function putAlways(store: CacheStore, key: string): PutFetched {
  return (entry) => {
    const stored = store.put(key, entry);
    return stored instanceof Promise ? stored.then(() => true) : true;
  };
}

/** Why a response is not stored, from the result of the store: `null` if it has failed. */
function refusalOf(isStored: boolean | null): "outdated" | "store-failed" | null {
  if (isStored === null) return "store-failed";
  return isStored ? null : "outdated";
}

const nothing: readonly CacheEntry[] = [];

/** Creates a {@link GuardedStore}. It remembers requests only while they are in flight. */
export function createGuardedStore(
  store: CacheStore,
  onError: (failure: CacheFailure, cause: unknown) => void,
): GuardedStore {
  const inFlight = new Set<InFlightState>();

  function failGet(cause: unknown): readonly CacheEntry[] {
    onError("store-get", cause);
    return nothing;
  }

  const attempt = createAttempts(onError);

  async function remove(key: string): Promise<void> {
    await attempt("store-delete", () => store.delete(key));
  }

  async function invalidate(
    { keys = [], groups = [] }: Partial<Invalidation>,
    except: InFlightState | null,
  ): Promise<void> {
    for (const state of inFlight) {
      if (state === except) continue;
      if (keys.includes(state.key)) state.isOutdated = true;
      for (const group of groups) (state.outdatedGroups ??= new Set()).add(group);
    }
    await Promise.all([
      ...keys.map(remove),
      ...groups.map((group) => attempt("store-delete", () => store.deleteGroup(group))),
    ]);
  }

  function begin(key: string, groups: readonly string[] | null): InFlightRequest {
    const state: InFlightState = { key, isOutdated: false, outdatedGroups: null };
    inFlight.add(state);
    /** `null` if the store has failed. */
    let putFetched: PutFetched | null = putAlways(store, key);
    async function open(known: readonly string[]): Promise<void> {
      putFetched = await attempt("store-put", () => store.begin?.(key, known) ?? null);
    }
    const ready = groups === null || store.begin === undefined ? null : open(groups);
    const isOutdated = ({ groups }: CacheEntry): boolean =>
      state.isOutdated || (state.outdatedGroups !== null && groups.some((group) => state.outdatedGroups?.has(group)));
    // A remote store may have finished an invalidation before this write. Undo the write then.
    const undo = async (): Promise<"outdated"> => {
      await remove(key);
      return "outdated";
    };
    return {
      ready,
      put(entry) {
        if (isOutdated(entry)) return "outdated";
        const stored = attempt("store-put", () => putFetched?.(entry) ?? null);
        if (!(stored instanceof Promise)) return refusalOf(stored);
        return stored.then((isStored) => refusalOf(isStored) ?? (isOutdated(entry) ? undo() : null));
      },
      async invalidateOthers(invalidation) {
        await invalidate(invalidation, state);
        if (ready !== null) await open([]);
      },
      end: () => void inFlight.delete(state),
    };
  }

  return {
    get(key) {
      try {
        const found = store.get(key);
        return found instanceof Promise ? found.catch(failGet) : found;
      } catch (cause) {
        return failGet(cause);
      }
    },
    delete: remove,
    invalidate: (invalidation) => invalidate(invalidation, null),
    begin,
  };
}

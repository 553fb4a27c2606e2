import type { CacheEntry, CacheStore, MaybePromise } from "../ports.ts";
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
  /** Registers a request before it is sent to the origin. */
  begin(key: string): InFlightRequest;
}

/** A request that was sent to the origin and has not finished. */
export interface InFlightRequest {
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

  /** Changes the store. Returns false if that fails. */
  function change(failure: CacheFailure, run: () => MaybePromise<void>): MaybePromise<boolean> {
    const fail = (cause: unknown): boolean => {
      onError(failure, cause);
      return false;
    };
    try {
      const changing = run();
      return changing instanceof Promise ? changing.then(() => true, fail) : true;
    } catch (cause) {
      return fail(cause);
    }
  }

  async function remove(key: string): Promise<void> {
    await change("store-delete", () => store.delete(key));
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
      ...groups.map((group) => change("store-delete", () => store.deleteGroup(group))),
    ]);
  }

  function begin(key: string): InFlightRequest {
    const state: InFlightState = { key, isOutdated: false, outdatedGroups: null };
    inFlight.add(state);
    const isOutdated = ({ groups }: CacheEntry): boolean =>
      state.isOutdated || (state.outdatedGroups !== null && groups.some((group) => state.outdatedGroups?.has(group)));
    // A remote store may have finished an invalidation before this write. Undo the write then.
    const undo = async (): Promise<"outdated"> => {
      await remove(key);
      return "outdated";
    };
    return {
      put(entry) {
        if (isOutdated(entry)) return "outdated";
        const stored = change("store-put", () => store.put(key, entry));
        if (!(stored instanceof Promise)) return stored ? null : "store-failed";
        return stored.then((isStored) => (!isStored ? "store-failed" : isOutdated(entry) ? undo() : null));
      },
      invalidateOthers: (invalidation) => invalidate(invalidation, state),
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

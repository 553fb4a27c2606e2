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
  /** Stores the response unless it was invalidated in the meantime. Resolves to the reason if it was not stored, else to `null`. */
  put(entry: CacheEntry): Promise<"outdated" | "store-failed" | null>;
  /** Invalidates as {@link GuardedStore.invalidate} does, but not for this request itself: its response already reflects the change. */
  invalidateOthers(invalidation: Invalidation): Promise<void>;
  end(): void;
}

interface InFlightState {
  readonly key: string;
  isOutdated: boolean;
  readonly outdatedGroups: Set<string>;
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

  async function change(failure: CacheFailure, run: () => MaybePromise<void>): Promise<boolean> {
    try {
      await run();
      return true;
    } catch (cause) {
      onError(failure, cause);
      return false;
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
      for (const group of groups) state.outdatedGroups.add(group);
    }
    await Promise.all([
      ...keys.map(remove),
      ...groups.map((group) => change("store-delete", () => store.deleteGroup(group))),
    ]);
  }

  function begin(key: string): InFlightRequest {
    const state: InFlightState = { key, isOutdated: false, outdatedGroups: new Set() };
    inFlight.add(state);
    const isOutdated = ({ groups }: CacheEntry): boolean =>
      state.isOutdated || groups.some((group) => state.outdatedGroups.has(group));
    return {
      async put(entry) {
        if (isOutdated(entry)) return "outdated";
        if (!(await change("store-put", () => store.put(key, entry)))) return "store-failed";
        // A remote store may have finished an invalidation before this write. Undo the write then.
        if (!isOutdated(entry)) return null;
        await remove(key);
        return "outdated";
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

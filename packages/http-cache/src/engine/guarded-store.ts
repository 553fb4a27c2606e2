/** A store that cannot break a request, nor keep a response that was outdated while it was fetched. `in-flight.ts` knows which these are. */
import type { CacheEntry, CacheStore, MaybePromise } from "../ports.ts";
import {
  compareRecency,
  createInFlightRequests,
  inFlightRefusal,
  type InFlightState,
  type Settled,
} from "./in-flight.ts";
import type { Invalidation, Recency } from "./strategy.ts";

/** A step that failed without affecting the response that the client gets. */
export type CacheFailure = "store-get" | "store-put" | "store-delete" | "background";

/** A request that was sent to the origin and has not finished. */
export interface InFlightRequest {
  /** Resolves when the request may be sent to the origin, and never rejects; `null`: immediately. */
  readonly ready: Promise<void> | null;
  /** Stores the response unless it was invalidated or superseded in the meantime. Returns the reason if it was not stored, else `null`. */
  put(entry: CacheEntry, recency: Recency): MaybePromise<PutRefusal | null>;
  /** True if a response that superseded this one is still being written, so that nobody can read it yet. */
  isNewerUnread(): boolean;
  /**
   * Deletes the entries under the key, because the response shows that they are outdated. Keeps a newer response.
   *
   * @param isStored true if something was stored when the request was sent. Otherwise deletes only entries stored since
   *   then.
   */
  invalidateStored(recency: Recency, isStored: boolean): Promise<void>;
  /**
   * Invalidates like {@link GuardedStore.invalidate}, but not for this request itself: its response already reflects the change. A store with
   * {@link CacheStore.begin} cannot distinguish these deletions from others, and does not store a response that they affect. Never
   * rejects.
   */
  invalidateOthers(invalidation: Invalidation): Promise<void>;
  end(): void;
}

/** Why a response was not stored: it was invalidated, a newer one was stored, or the store failed. */
type PutRefusal = "outdated" | "superseded" | "store-failed";

/** Stores a response and returns the reason if it was not stored. */
type Put = (entry: CacheEntry) => MaybePromise<boolean | "store-failed" | void>;

const putNothing = (): "store-failed" => "store-failed";

function refusalOf(stored: boolean | "store-failed" | void): "outdated" | "store-failed" | null {
  return stored === false ? "outdated" : stored === "store-failed" ? stored : null;
}

/**
 * Stores a response without `Vary` as the variant that arrived for the same request in the meantime. Otherwise, look-ups would prefer that older variant.
 */
function asInFlightVariant(entry: CacheEntry, recency: Recency, settled: readonly Settled[]): CacheEntry {
  if (entry.vary.length > 0) return entry;
  const isReplaced = ({ stored }: Settled): boolean =>
    stored !== null && stored.vary.length > 0 && recency.matches(stored);
  const replaced = settled.findLast(isReplaced);
  return replaced === undefined ? entry : { ...entry, ...replaced.stored };
}

const nothing: readonly CacheEntry[] = [];

/** Throws unless a response can be made of each entry. One of another version may lack a member, and JSON has no bytes. */
function checked(entries: readonly CacheEntry[]): readonly CacheEntry[] {
  for (const { status, headers, body } of entries) {
    const isEntry = typeof status === "number" && typeof headers === "object" && ArrayBuffer.isView(body);
    if (!isEntry || headers === null) throw new TypeError("not a stored response");
  }
  return entries;
}

/** The writes that are under way, with what they write. A store with `begin` notices itself that a deletion came before a write. */
type Writes = Map<MaybePromise<unknown>, readonly [key: string, entry: CacheEntry]>;

/**
 * Access to a {@link CacheStore} with three guarantees: a store that fails never fails a request, a response that was requested before an
 * invalidation is not stored after it, and if two requests overlapped, the older response never stays. It remembers requests only while they are in flight.
 */
export class GuardedStore {
  readonly #store: CacheStore;
  readonly #onError: (failure: CacheFailure, cause: unknown) => void;
  readonly #inFlight = createInFlightRequests();
  readonly #writes: Writes = new Map();

  constructor(store: CacheStore, onError: (failure: CacheFailure, cause: unknown) => void) {
    this.#store = store;
    this.#onError = onError;
  }

  /** Reads the entries under a key and returns the result of `use`, which gets no entries if the store fails or returns something unreadable. */
  get<Result>(key: string, use: (entries: readonly CacheEntry[]) => Result): MaybePromise<Result> {
    const read = (): MaybePromise<Result> => {
      const found = this.#store.get(key);
      return found instanceof Promise ? found.then((entries) => use(checked(entries))) : use(checked(found));
    };
    return this.#attempt("store-get", read, () => use(nothing));
  }

  /**
   * Deletes entries, also those that are being written, and marks requests that are in flight so that their responses are not stored. If a deletion
   * fails, rejects with its cause after all were tried.
   */
  invalidate(invalidation: Partial<Invalidation>): Promise<void> {
    return this.#invalidate(invalidation, null);
  }

  /** Registers a request before it is sent to the origin. `groups`: see {@link CacheStore.begin}; `null` if the response will not be stored. */
  begin(key: string, groups: readonly string[] | null): InFlightRequest {
    const store = this.#store;
    const inFlight = this.#inFlight;
    const state = inFlight.add(key);
    let putFetched: Put = (entry) => store.put(key, entry);
    const open = async (known: readonly string[]): Promise<void> => {
      putFetched = await this.#attempt(
        "store-put",
        () => store.begin?.(key, known) ?? putFetched,
        () => putNothing,
      );
    };
    const ready = groups === null || store.begin === undefined ? null : open(groups);
    const undo = async (): Promise<"outdated"> => {
      await this.#remove([key]);
      return "outdated";
    };
    const refuse = (entry: CacheEntry, recency: Recency): ReturnType<typeof inFlightRefusal> =>
      inFlightRefusal(state, inFlight.settledSince(state), entry, recency);
    return {
      ready,
      put: (received, recency) => {
        const entry = asInFlightVariant(received, recency, inFlight.settledSince(state));
        const refusal = refuse(entry, recency);
        if (refusal === "doubtful") {
          inFlight.settle(state, recency, null);
          return undo();
        }
        if (refusal !== null) return refusal;
        // Before the write, so that an older response that arrives meanwhile is not written as well.
        const settled = inFlight.settle(state, recency, entry);
        const finish = (result: boolean | "store-failed" | void): PutRefusal | null => {
          const failure = refusalOf(result);
          inFlight.finishWrite(state, settled, failure === null);
          return failure;
        };
        const stored = this.#attempt("store-put", () => putFetched(entry), putNothing);
        if (!(stored instanceof Promise)) return finish(stored);
        if (store.begin === undefined) this.#writes.set(stored, [key, entry]);
        // Also if the program's own report of a failure has thrown.
        const ended = stored.finally(() => this.#writes.delete(stored));
        return ended.then((result) => {
          const failure = finish(result);
          if (failure !== null || refuse(entry, recency) === null) return failure;
          // A remote store may have finished an invalidation, or the write of a newer response, before this write.
          inFlight.finishWrite(state, settled, false);
          return undo();
        });
      },
      isNewerUnread: () => inFlight.settledSince(state).some(({ stored, isWritten }) => stored !== null && !isWritten),
      invalidateStored: async (recency, isStored) => {
        inFlight.settle(state, recency, null);
        const storedSince = inFlight
          .settledSince(state)
          .filter(({ stored }) => stored !== null && recency.matches(stored));
        if (storedSince.some((other) => compareRecency(state, recency, other) === "older")) return;
        if (isStored || storedSince.length > 0) await this.#remove([key]);
      },
      invalidateOthers: (invalidation) => this.#invalidate(invalidation, state),
      end: () => inFlight.remove(state),
    };
  }

  /** Runs a step of the store and returns its result, or the result of `recover` if it fails. */
  #attempt<Result, Failed>(
    failure: CacheFailure,
    run: () => MaybePromise<Result>,
    recover: (cause: unknown) => Failed,
  ): MaybePromise<Result | Failed> {
    const fail = (cause: unknown): Failed => {
      this.#onError(failure, cause);
      return recover(cause);
    };
    try {
      const running = run();
      return running instanceof Promise ? running.catch(fail) : running;
    } catch (cause) {
      return fail(cause);
    }
  }

  /** Deletes keys and groups, and returns the causes of the deletions that failed. */
  async #remove(keys: readonly string[], groups: readonly string[] = []): Promise<readonly unknown[]> {
    const failures: unknown[] = [];
    const fail = (cause: unknown): void => void failures.push(cause);
    await Promise.all([
      ...keys.map((key) => this.#attempt("store-delete", () => this.#store.delete(key), fail)),
      ...groups.map((group) => this.#attempt("store-delete", () => this.#store.deleteGroup(group), fail)),
    ]);
    return failures;
  }

  /** Invalidates for all requests but one. */
  async #invalidate({ keys = [], groups = [] }: Partial<Invalidation>, except: InFlightState | null): Promise<void> {
    this.#inFlight.invalidate({ keys, groups }, except);
    const underWay = [...this.#writes].filter(
      ([, [key, entry]]) => keys.includes(key) || entry.groups.some((group) => groups.includes(group)),
    );
    let failures = await this.#remove(keys, groups);
    if (underWay.length > 0) {
      // The store may have carried out the deletions before these writes.
      await Promise.allSettled(underWay.map(([write]) => write));
      failures = await this.#remove(keys, groups);
    }
    if (except === null && failures.length > 0) throw failures[0];
  }
}

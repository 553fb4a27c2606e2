/** The response cache: lifetimes, keys and groups come from the caller. The engine runs the look-ups; this strategy has the differences. */
import { fetchedStatus, storedStatus } from "./engine/cache-status.ts";
import { type CacheOptions, createCacheEngine, defaultName } from "./engine/engine.ts";
import {
  type CacheCall,
  type CacheStrategy,
  type Candidate,
  describesResource,
  type Miss,
  type Recency,
} from "./engine/strategy.ts";
import { formatHttpDate } from "./fields/http-date.ts";
import { type CacheEntry, currentAgeMs, isClockBehind, type MaybePromise } from "./ports.ts";

/**
 * A cache for responses whose lifetime the caller knows. Lifetimes and groups are data; no header field is interpreted. Entries are found by
 * key and invalidated by group. A value that is not a response of the origin has the status 0, so that `Cache-Status` names none.
 */
export interface ResponseCache<Value extends { readonly status: number }> {
  /**
   * Returns the stored response of a key, or fetches it. Rejects like `fetch`, or with the signal's reason. Returns a plain value for a hit in
   * a synchronous store.
   */
  read(key: string, fetch: FetchResponse<Value>, options?: ReadOptions): MaybePromise<CacheResult<Value>>;
  /** Deletes the responses of a group. Responses that are being fetched now are not stored. Rejects if the store fails: what is stored then stays. */
  invalidateGroup(group: string): Promise<void>;
}

/** The options of a {@link ResponseCache}. */
export interface ResponseCacheOptions extends CacheOptions {
  /** Larger bodies are not stored. Default: 1 MiB. */
  readonly maxBodyBytes?: number;
}

/** Fetches a response. Without a signal when it refreshes a stale response in the background. */
export type FetchResponse<Value> = (signal: AbortSignal | undefined) => Promise<FetchedResponse<Value>>;

/** A fetched response. */
export interface FetchedResponse<Value> {
  /** Returned unchanged to the caller that fetched it, and to nobody else. */
  readonly value: Value;
  /** The entry to store; `null` to store nothing. A `date` field with the time of arrival is added. All times are finite, in milliseconds. */
  readonly storable: Pick<
    CacheEntry,
    "headers" | "body" | "freshForMs" | "staleWhileRevalidateMs" | "staleIfErrorMs" | "groups"
  > | null;
  /** True if a stored response may be served instead, within its `staleIfErrorMs`. */
  readonly isError: boolean;
}

/** A response that was fetched now, or one that was stored before. `cacheStatus` is an entry of `Cache-Status` (RFC 9211). */
export type CacheResult<Value> =
  | { readonly kind: "fetched"; readonly value: Value; readonly cacheStatus: string }
  | { readonly kind: "stored"; readonly entry: CacheEntry; readonly ageMs: number; readonly cacheStatus: string };

/** `no-cache` always fetches; `no-store` fetches and stores nothing. */
export type CacheMode = "no-cache" | "no-store";

/** The options of one {@link ResponseCache.read}. */
export interface ReadOptions {
  /** Aborts when the client goes away. It is read only if the cache fetches. */
  readonly signal?: AbortSignal | undefined;
  /** Default: `null`, which uses the cache. */
  readonly cacheMode?: CacheMode | null;
  /**
   * The groups of the response, if they are known before it is fetched. It is read only if the cache fetches. Some shared stores need them to notice
   * that another process has invalidated a group meanwhile.
   */
  readonly groups?: readonly string[] | undefined;
}

/** A call of {@link ResponseCache.read}. */
class Read<Value> implements CacheCall {
  readonly key: string;
  readonly fetchResponse: FetchResponse<Value>;
  readonly cacheMode: CacheMode | null;
  readonly #options: ReadOptions | undefined;

  constructor(key: string, fetchResponse: FetchResponse<Value>, options: ReadOptions | undefined) {
    this.key = key;
    this.fetchResponse = fetchResponse;
    this.cacheMode = options?.cacheMode ?? null;
    this.#options = options;
  }

  /** Creating a signal may be expensive, and a hit needs none. */
  get signal(): AbortSignal | undefined {
    return this.#options?.signal;
  }

  get groups(): readonly string[] | undefined {
    return this.#options?.groups;
  }
}

type TimedResponse<Value> = FetchedResponse<Value> & { readonly requestedAtMs: number; readonly receivedAtMs: number };

/**
 * Creates a {@link ResponseCache}.
 *
 * @throws TypeError if the name is not a token
 */
export function createResponseCache<Value extends { readonly status: number }>(
  options: ResponseCacheOptions,
): ResponseCache<Value> {
  const engine = createCacheEngine(options, createStrategy<Value>(options));
  return {
    read(key, fetchResponse, options) {
      const call = new Read(key, fetchResponse, options);
      const decision = engine.lookUp(call);
      return decision instanceof Promise
        ? decision.then((decided) => engine.proceed(call, decided))
        : engine.proceed(call, decision);
    },
    invalidateGroup: (group) => engine.invalidate({ groups: [group] }),
  };
}

const none: readonly string[] = [];
const miss: Miss = { kind: "miss", reason: "uri-miss", vary: none };

/** A key has one response. Only the order of the requests decides: the stored `date` is the time of arrival, which says nothing. */
const recency: Recency = { dateMs: null, isUpdate: false, matches: () => true };

function createStrategy<Value extends { readonly status: number }>({
  clock,
  name = defaultName,
  maxBodyBytes = 1_048_576,
}: ResponseCacheOptions): CacheStrategy<Read<Value>, TimedResponse<Value>, CacheResult<Value>> {
  return {
    bypassReason: ({ cacheMode }) => (cacheMode === "no-store" ? "no-store" : null),
    decide({ cacheMode }, entries, nowMs) {
      const stored = entries[0];
      if (stored === undefined) return miss;
      const ageMs = currentAgeMs(stored, nowMs);
      const ttlMs = stored.freshForMs - ageMs;
      if (cacheMode === "no-cache") return { kind: "revalidate", reason: "request-no-cache", stored, ageMs, ttlMs };
      if (isClockBehind(stored, nowMs)) return { kind: "revalidate", reason: "clock", stored, ageMs, ttlMs };
      if (ttlMs > 0) return { kind: "hit", reason: "fresh", stored, ageMs, ttlMs };
      return ttlMs + stored.staleWhileRevalidateMs > 0
        ? { kind: "hit", reason: "stale-while-revalidate", stored, ageMs, ttlMs }
        : { kind: "revalidate", reason: "stale", stored, ageMs, ttlMs };
    },
    // A caller that wants a new response must not get one that was requested before its own call.
    coalescingKey: ({ key, cacheMode }) => (cacheMode === null ? key : null),
    groupsBefore: ({ cacheMode, groups = none }) => (cacheMode === "no-store" ? null : groups),
    toRevalidation: ({ key, fetchResponse, cacheMode, groups }) => new Read(key, fetchResponse, { cacheMode, groups }),
    async fetch({ fetchResponse, signal }) {
      const requestedAtMs = clock.now();
      const fetched = await fetchResponse(signal);
      return { ...fetched, requestedAtMs, receivedAtMs: clock.now() };
    },
    errorStatus: ({ isError, value }) => (isError ? value.status : null),
    staleOnErrorReason(_, { reason, stored }, ageMs) {
      if (reason === "request-no-cache") return null;
      return Math.max(0, ageMs - stored.freshForMs) < stored.staleIfErrorMs ? "stale-if-error" : null;
    },
    toCandidate: ({ cacheMode }, _, fetched) =>
      toCandidate(fetched, cacheMode === "no-store" ? "request-no-store" : null, maxBodyBytes),
    fromStored: (_, use, forwarded) => ({
      kind: "stored",
      entry: use.stored,
      ageMs: use.ageMs,
      cacheStatus: storedStatus(name, use, forwarded),
    }),
    fromFetched: (_, _decision, { value }, storage, forwarded) => ({
      kind: "fetched",
      value,
      cacheStatus: fetchedStatus(name, forwarded, value.status, storage),
    }),
  };
}

function toCandidate<Value extends { readonly status: number }>(
  { value: { status }, storable, requestedAtMs, receivedAtMs }: TimedResponse<Value>,
  forbidden: "request-no-store" | null,
  maxBodyBytes: number,
): Candidate {
  const candidate = { describesResource: describesResource(status), recency, entry: null };
  if (forbidden !== null) return { ...candidate, refusal: forbidden };
  if (storable === null) return { ...candidate, refusal: "no-store" };
  if (storable.body.length > maxBodyBytes) return { ...candidate, refusal: "too-large" };
  const { headers, ...stored } = storable;
  const initialAgeMs = Math.max(0, receivedAtMs - requestedAtMs);
  const keepStaleMs = Math.max(stored.staleWhileRevalidateMs, stored.staleIfErrorMs);
  const entry: CacheEntry = {
    status,
    headers: { ...headers, date: formatHttpDate(receivedAtMs) },
    ...stored,
    vary: none,
    variant: none,
    receivedAtMs,
    initialAgeMs,
    validatesAlways: false,
    isNeverStale: false,
    isImmutable: false,
    keepUntilMs: receivedAtMs + Math.max(0, stored.freshForMs - initialAgeMs) + keepStaleMs,
  };
  return { ...candidate, entry, refusal: null };
}

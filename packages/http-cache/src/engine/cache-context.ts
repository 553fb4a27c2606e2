import type { CachePolicy } from "../decide/cache-policy.ts";
import type { CacheRequest } from "../decide/cache-request.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { cacheKey } from "../keys/cache-key.ts";
import type { Background, CacheStore, Clock, Coalescer, MaybePromise } from "../ports.ts";
import type { FlightLog } from "./flight-log.ts";

/** What went wrong beside the answer, which the client gets all the same. */
export type CacheTrouble = "store-get" | "store-put" | "store-delete" | "background";

/** What changes of a store need. */
export interface StoreContext {
  readonly store: CacheStore;
  readonly onTrouble: (trouble: CacheTrouble, cause: unknown) => void;
}

/** What every cache over a store shares. */
export interface FlightContext extends StoreContext {
  readonly coalescer: Coalescer;
  readonly flights: FlightLog;
}

/** Everything that the steps of a cache share. */
export interface CacheContext extends FlightContext {
  readonly name: string;
  readonly policy: CachePolicy;
  readonly clock: Clock;
  readonly background: Background;
}

/** The key of a request's resource. */
export function keyOf(request: CacheRequest): string {
  return request.key ?? cacheKey(request);
}

const nothing: readonly StoredResponse[] = [];

/** What is stored under a key; nothing when the store fails, since a cache that cannot remember still answers. */
export function readStore({ store, onTrouble }: StoreContext, key: string): MaybePromise<readonly StoredResponse[]> {
  const fail = (cause: unknown): readonly StoredResponse[] => {
    onTrouble("store-get", cause);
    return nothing;
  };
  try {
    const found = store.get(key);
    return found instanceof Promise ? found.catch(fail) : found;
  } catch (cause) {
    return fail(cause);
  }
}

/** Changes the store; false when it fails. */
export async function changeStore(
  { onTrouble }: Pick<StoreContext, "onTrouble">,
  trouble: CacheTrouble,
  change: () => MaybePromise<void>,
): Promise<boolean> {
  try {
    await change();
    return true;
  } catch (cause) {
    onTrouble(trouble, cause);
    return false;
  }
}

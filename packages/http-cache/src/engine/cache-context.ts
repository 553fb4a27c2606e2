import type { CachePolicy } from "../decide/cache-policy.ts";
import type { CacheRequest } from "../decide/cache-request.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { cacheKey } from "../keys/cache-key.ts";
import type { Background, CacheStore, Clock, Coalescer, MaybePromise } from "../ports.ts";
import type { FlightLog } from "./flight-log.ts";

/** What went wrong beside the answer, which the client gets all the same. */
export type CacheTrouble = "store-get" | "store-put" | "store-delete" | "background";

/** Everything that the steps of a cache share. */
export interface CacheContext {
  readonly name: string;
  readonly policy: CachePolicy;
  readonly store: CacheStore;
  readonly clock: Clock;
  readonly coalescer: Coalescer;
  readonly background: Background;
  readonly flights: FlightLog;
  readonly onTrouble: (trouble: CacheTrouble, cause: unknown) => void;
}

/** The key of a request's resource. */
export function keyOf(request: CacheRequest): string {
  return request.key ?? cacheKey(request);
}

const nothing: readonly StoredResponse[] = [];

/** What is stored under a key; nothing when the store fails, since a cache that cannot remember still answers. */
export function readStore({ store, onTrouble }: CacheContext, key: string): MaybePromise<readonly StoredResponse[]> {
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
  { onTrouble }: CacheContext,
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

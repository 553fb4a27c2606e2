import type { StoredResponse } from "../decide/stored-response.ts";
import { changeStore, type StoreContext } from "./cache-context.ts";
import type { LoggedFlight } from "./flight-log.ts";

/** Puts what may be stored, unless a change came in between; resolves with why not, or with `null`. */
export async function putUnlessOutdated(
  context: StoreContext,
  key: string,
  stored: StoredResponse,
  flight: LoggedFlight,
): Promise<"outdated" | "store-failed" | null> {
  if (flight.isOutdated(stored.groups)) return "outdated";
  if (!(await changeStore(context, "store-put", () => context.store.put(key, stored)))) return "store-failed";
  // A change that came while a store elsewhere was writing would be undone by it.
  if (!flight.isOutdated(stored.groups)) return null;
  await changeStore(context, "store-delete", () => context.store.delete(key));
  return "outdated";
}

import { invalidatedGroups } from "../decide/cache-groups.ts";
import type { CacheRequest, ResponseHead } from "../decide/cache-request.ts";
import { invalidatedUrls } from "../decide/invalidated-urls.ts";
import { cacheKey } from "../keys/cache-key.ts";
import { type CacheContext, changeStore, type FlightContext, keyOf } from "./cache-context.ts";

/** Forgets a resource, also for the requests that are with the origin now. */
export async function invalidateKey(context: FlightContext, key: string): Promise<void> {
  context.flights.invalidateKey(key);
  await changeStore(context, "store-delete", () => context.store.delete(key));
}

/** Forgets the answers of a group, also those that are on their way. */
export async function invalidateGroupKey(context: FlightContext, group: string): Promise<void> {
  context.flights.invalidateGroup(group);
  await changeStore(context, "store-delete", () => context.store.deleteGroup(group));
}

/** Forgets what the answer to an unsafe request makes outdated, in the request's own partition (RFC 9111, 4.4; RFC 9875, 3). */
export async function invalidateAfter(
  context: CacheContext,
  request: CacheRequest,
  answer: ResponseHead,
): Promise<void> {
  const urls = invalidatedUrls(request.url, answer.status, answer.headers);
  const groups = urls.length === 0 ? [] : invalidatedGroups(answer.headers, request);
  const keys = urls.map((url) => (url === request.url ? keyOf(request) : cacheKey({ ...request, url })));
  await Promise.all([
    ...keys.map((key) => invalidateKey(context, key)),
    ...groups.map((group) => invalidateGroupKey(context, group)),
  ]);
}

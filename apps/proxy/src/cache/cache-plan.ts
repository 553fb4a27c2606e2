import type { KeptAnswer } from "@letta-environments/http-cache";
import type { Operation } from "@letta-environments/schema";

/** For how long an answer is used, in milliseconds: as it is, once more while a newer one is fetched beside it, and when the upstream fails. */
export type CacheWindow = Pick<KeptAnswer, "freshForMs" | "staleWhileRevalidateMs" | "staleIfErrorMs">;

/** The windows of an operation by the status of the answer; what is not here is not stored. */
export type CacheWindows = ReadonlyMap<number, CacheWindow>;

/**
 * Every cache of answers that the gateway has, and why its windows are what they are. Authentication, limits and the log come before each of
 * them. With the embedded server a change of a row ends what shows it at once, so that the windows bound only how old a heartbeat is.
 *
 * - A list and a device are fresh for 2 seconds: pages and scripts poll every few seconds and in step, and a device goes offline 120 seconds after
 *   its last heartbeat, so that 2 more change nothing. For 3 seconds more callers get the older answer at once, while a newer one is fetched.
 * - When the upstream fails, the last answer of at most a minute ago says more than an error; a send does not rely on it.
 * - A device that is not there is asked for again and again by whoever waits for it: 1 second bounds that, and its registration ends it at once.
 * - Sends, registrations and sockets are never answered from a store.
 */
export const cachePlan: Readonly<Partial<Record<Operation, CacheWindows>>> = {
  listEnvironments: new Map([[200, { freshForMs: 2_000, staleWhileRevalidateMs: 3_000, staleIfErrorMs: 60_000 }]]),
  retrieveEnvironment: new Map([
    [200, { freshForMs: 2_000, staleWhileRevalidateMs: 3_000, staleIfErrorMs: 60_000 }],
    [404, { freshForMs: 1_000, staleWhileRevalidateMs: 0, staleIfErrorMs: 0 }],
  ]),
};

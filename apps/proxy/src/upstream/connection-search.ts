/**
 * Searches the rows of a remote server for connections. Look-ups of one key share a search: while one runs, the next ones wait and are searched for
 * together. Searches that do not find everything are limited, so callers with wrong ids cannot make the gateway read the list over and over.
 */
import { type Clock, sleep } from "@letta-environments/platform";
import { type PlainResponse, problemResponse, refused, type Refused } from "@letta-environments/schema";
import { createBoundedMap } from "../lib/bounded-map.ts";
import type { EnvironmentPage, UpstreamRow } from "./environments.ts";

/** The row of a connection, or the response for the caller. */
export type FoundConnection =
  | { readonly kind: "found"; readonly row: UpstreamRow; /** Monotonic milliseconds. */ readonly readAtMs: number }
  | Refused;

/** Reads all rows that a search covers, page by page. */
export type ReadPages = () => AsyncGenerator<EnvironmentPage, void>;

/** Searches the rows of a remote server for connections. */
export interface ConnectionSearch {
  /**
   * Searches for a connection. `key` names the tenant and the gateway key of the look-up: look-ups with the same one see the same rows,
   * so they may share the pages that one of them reads.
   */
  find(key: string, connectionId: string, readPages: ReadPages): Promise<FoundConnection>;
  /** Forgets the ids that look-ups with this `key` did not find. */
  forget(key: string): void;
}

/** How long an id that was not found is not searched for again, in milliseconds. */
export const unknownForMs = 3_000;

/**
 * The penalty for a search that misses an id, in milliseconds: this, or {@link pauseFactor} times the duration of the search if that is longer.
 * Penalties add up, and a search waits only for what exceeds {@link missesBeforeDelay} of them, so that a few wrong ids do not delay valid ones.
 */
export const missPauseMs = 2_000;
const pauseFactor = 4;
export const missesBeforeDelay = 3;

/** How many ids that were not found are remembered, over all keys. */
const maxUnknown = 10_000;

/** How many keys are remembered. */
const maxKeys = 10_000;

/** The look-ups with one key. */
interface LookUps {
  readonly waiting: Map<string, PromiseWithResolvers<FoundConnection>>;
  isSearching: boolean;
  /** When the accumulated penalty ends, in monotonic milliseconds. */
  missesUntilMs: number;
}

function createLookUps(): LookUps {
  return { waiting: new Map(), isSearching: false, missesUntilMs: 0 };
}

/** Creates a {@link ConnectionSearch}. Where requests must not wait for each other (Workers), `isShared` is false, and each look-up searches alone. */
export function createConnectionSearch(
  clock: Pick<Clock, "monotonic" | "setTimer">,
  isShared: boolean,
): ConnectionSearch {
  const lookUpsByKey = createBoundedMap<LookUps>(maxKeys);
  const unknownUntilMs = createBoundedMap<number>(maxUnknown);

  /** Searches until every waiting id is found or known to be missing. */
  async function run(key: string, lookUps: LookUps, readPages: ReadPages): Promise<void> {
    lookUps.isSearching = true;
    while (lookUps.waiting.size > 0) {
      await waitAfterMisses(lookUps);
      const searched = new Map(lookUps.waiting);
      lookUps.waiting.clear();
      await search(key, lookUps, searched, readPages);
    }
    lookUps.isSearching = false;
  }

  async function search(
    key: string,
    lookUps: LookUps,
    searched: LookUps["waiting"],
    readPages: ReadPages,
  ): Promise<void> {
    const beganAtMs = clock.monotonic();
    let hasMissed = false;
    try {
      const refusal = await findIn(readPages(), searched, clock);
      hasMissed = refusal === null;
      for (const [connectionId, { resolve }] of searched) {
        resolve(refused(refusal ?? notFound));
        if (hasMissed) unknownUntilMs.set(key + connectionId, clock.monotonic() + unknownForMs);
      }
    } catch (cause) {
      for (const { reject } of searched.values()) reject(cause);
    }
    const nowMs = clock.monotonic();
    // A failed search has missed no id. Its duration comes from an outage, which must not delay later sends.
    const pauseMs = Math.max(missPauseMs, hasMissed ? pauseFactor * (nowMs - beganAtMs) : 0);
    if (searched.size > 0) lookUps.missesUntilMs = Math.max(lookUps.missesUntilMs, nowMs) + pauseMs;
  }

  async function waitAfterMisses({ missesUntilMs }: LookUps): Promise<void> {
    const delayMs = missDelayMs(missesUntilMs, clock.monotonic());
    if (delayMs > 0) await sleep(clock, delayMs);
  }

  return {
    async find(key, connectionId, readPages) {
      if (clock.monotonic() < (unknownUntilMs.get(key + connectionId) ?? 0)) return refused(notFound);
      const lookUps = lookUpsByKey.getOrCreate(key, createLookUps);
      const waiting = isShared ? lookUps.waiting.get(connectionId) : undefined;
      if (waiting !== undefined) return waiting.promise;
      const added = Promise.withResolvers<FoundConnection>();
      if (isShared) {
        lookUps.waiting.set(connectionId, added);
        if (!lookUps.isSearching) void run(key, lookUps, readPages);
      } else {
        await waitAfterMisses(lookUps);
        await search(key, lookUps, new Map([[connectionId, added]]), readPages);
      }
      return added.promise;
    },
    forget: (key) => unknownUntilMs.deleteWhere((known) => known.startsWith(key)),
  };
}

/** Resolves what the pages contain and removes it from `searched`. Returns the response if a page cannot be read. */
async function findIn(
  pages: AsyncGenerator<EnvironmentPage, void>,
  searched: LookUps["waiting"],
  clock: Pick<Clock, "monotonic">,
): Promise<PlainResponse | null> {
  let readAtMs = clock.monotonic();
  for await (const page of pages) {
    if (page.kind === "refused") return page.response;
    for (const row of page.rows) {
      const { connectionId = null } = row;
      const found = connectionId === null ? undefined : searched.get(connectionId);
      if (connectionId === null || found === undefined) continue;
      found.resolve({ kind: "found", row, readAtMs });
      searched.delete(connectionId);
    }
    if (searched.size === 0) return null;
    readAtMs = clock.monotonic();
  }
  return null;
}

/** Returns how long a search waits because of those that missed an id before, in milliseconds. */
export function missDelayMs(missesUntilMs: number, nowMs: number): number {
  return Math.max(0, missesUntilMs - nowMs - missesBeforeDelay * missPauseMs);
}

const notFound = problemResponse("connection_not_found");

/**
 * Tracks the in-flight requests of one cache, and the events that forbid storing their responses: invalidations and newer responses. If two requests
 * overlap, the newer response is the one that was requested later and whose `Date` is not earlier. If the two disagree, it is unknown which is newer.
 */
import { type CacheEntry, isSameVariant, type Variant } from "../ports.ts";
import type { Invalidation, Recency } from "./strategy.ts";

/** A request that was sent to the origin and has not finished. */
export interface InFlightState {
  readonly key: string;
  /** Its number in the order of requests and arrivals. */
  readonly sequence: number;
  /** Responses that arrived up to this number are ignored. */
  ignoredThrough: number;
  isOutdated: boolean;
  /** `null` for none. */
  outdatedGroups: Set<string> | null;
}

/** A response that arrived while other requests of its key were in flight. */
export interface Settled {
  /** The number of its request. */
  readonly sequence: number;
  /** The number of its arrival, in the same order. */
  readonly settledSequence: number;
  readonly recency: Recency;
  /** The variant under which it is stored; `null` if it is not stored, or no longer stored. */
  stored: Variant | null;
  /** False until the store has it. */
  isWritten: boolean;
}

/** The requests of one cache that are in flight. */
export interface InFlightRequests {
  add(key: string): InFlightState;
  remove(state: InFlightState): void;
  /** Marks the requests whose responses must not be stored, except `except`: its response already reflects the change. */
  invalidate(invalidation: Invalidation, except: InFlightState | null): void;
  /** Remembers a response for the other requests of its key, until all of them have finished. The entry itself is not kept, because of its body. */
  settle(state: InFlightState, recency: Recency, stored: Variant | null): Settled;
  /** Records whether a response is now stored. If it is, forgets the responses that it replaced. */
  finishWrite(state: InFlightState, settled: Settled, isStored: boolean): void;
  /** The responses that arrived since a request was sent. */
  settledSince(state: InFlightState): readonly Settled[];
}

/** The requests of one key that are in flight, and the responses that arrived meanwhile. */
interface KeyState {
  readonly sent: Set<InFlightState>;
  settled: Settled[];
}

const none: readonly Settled[] = [];

/** Maximum number of responses remembered for one key, so that they do not accumulate during a request that never ends. */
const maxSettled = 32;

/** Creates an empty {@link InFlightRequests}. */
export function createInFlightRequests(): InFlightRequests {
  const byKey = new Map<string, KeyState>();
  let lastSequence = 0;

  function remember({ sent, settled }: KeyState, added: Settled): void {
    settled.push(added);
    const [first] = settled;
    if (first === undefined || settled.length <= maxSettled) return;
    settled.shift();
    // The forgotten response may be newer than the response to any request that was sent before it arrived.
    for (const state of sent) state.isOutdated ||= state.ignoredThrough < first.settledSequence;
  }

  return {
    add(key) {
      const sequence = ++lastSequence;
      const state: InFlightState = { key, sequence, ignoredThrough: sequence, isOutdated: false, outdatedGroups: null };
      const known = byKey.get(key);
      if (known === undefined) byKey.set(key, { sent: new Set([state]), settled: [] });
      else known.sent.add(state);
      return state;
    },
    remove(state) {
      const known = byKey.get(state.key);
      known?.sent.delete(state);
      if (known?.sent.size === 0) byKey.delete(state.key);
    },
    invalidate({ keys, groups }, except) {
      for (const state of [...byKey.values()].flatMap(({ sent }) => [...sent])) {
        const isDeleted = keys.includes(state.key);
        if (state !== except) {
          state.isOutdated ||= isDeleted;
          for (const group of groups) (state.outdatedGroups ??= new Set()).add(group);
        } else if (isDeleted) {
          // Responses stored meanwhile are deleted now.
          state.ignoredThrough = ++lastSequence;
        }
      }
    },
    settle(state, recency, stored) {
      const settled: Settled = {
        sequence: state.sequence,
        settledSequence: ++lastSequence,
        recency,
        stored: stored && { vary: stored.vary, variant: stored.variant },
        isWritten: false,
      };
      const known = byKey.get(state.key);
      // Skipped if no other request needs it.
      if (known !== undefined && known.sent.size > 1) remember(known, settled);
      return settled;
    },
    finishWrite({ key }, settled, isStored) {
      const { stored } = settled;
      settled.isWritten = isStored;
      if (!isStored) settled.stored = null;
      const known = byKey.get(key);
      if (!isStored || stored === null || known === undefined) return;
      known.settled = known.settled.filter(
        (other) =>
          other.settledSequence >= settled.settledSequence ||
          other.stored === null ||
          !isSameVariant(stored, other.stored),
      );
    },
    settledSince: ({ key, ignoredThrough, sequence }) =>
      byKey
        .get(key)
        ?.settled.filter((other) => other.settledSequence > ignoredThrough && other.sequence !== sequence) ?? none,
  };
}

/** Which response is newer. `unknown`: the order of their requests and `Date` disagree. */
export function compareRecency(
  { sequence }: Pick<InFlightState, "sequence">,
  { dateMs }: Recency,
  other: Settled,
): "newer" | "older" | "unknown" {
  const laterByMs = dateMs === null || other.recency.dateMs === null ? 0 : dateMs - other.recency.dateMs;
  if (sequence > other.sequence) return laterByMs < 0 ? "unknown" : "newer";
  return laterByMs > 0 ? "unknown" : "older";
}

/**
 * Why the response of a request must not be stored; `null` if it may be. `doubtful`: it is unknown whether it is newer than a stored one. An update is
 * never newer than a response that was stored since its request: the one that it updates was replaced.
 */
export function inFlightRefusal(
  state: InFlightState,
  settledSince: readonly Settled[],
  entry: CacheEntry,
  recency: Recency,
): "outdated" | "superseded" | "doubtful" | null {
  if (state.isOutdated || entry.groups.some((group) => state.outdatedGroups?.has(group))) return "outdated";
  let refusal: "outdated" | "superseded" | null = null;
  for (const other of settledSince) {
    if (!other.recency.matches(entry)) continue;
    const order = recency.isUpdate ? "older" : compareRecency(state, recency, other);
    if (order === "newer") continue;
    if (order === "unknown" && other.stored !== null) return "doubtful";
    refusal = other.stored === null ? "outdated" : (refusal ?? "superseded");
  }
  return refusal;
}

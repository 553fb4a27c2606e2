import { type CacheEntry, isSameVariant } from "../ports.ts";
import type { Invalidation } from "./strategy.ts";

type Variant = Pick<CacheEntry, "vary" | "variant">;

/** A request that was sent to the origin and has not finished, with what has happened since that forbids storing its response. */
export interface InFlightState {
  readonly key: string;
  isOutdated: boolean;
  /** `null` for none. */
  outdatedGroups: Set<string> | null;
  /** The variants that have a response which was requested later. */
  newer: readonly Variant[];
}

/** The requests of one cache that are in flight. */
export interface InFlightRequests {
  add(key: string): InFlightState;
  remove(state: InFlightState): void;
  /** Marks the requests whose responses are no longer valid. For `except` the deletions are no reason: its response already reflects the change. */
  invalidate(invalidation: Invalidation, except: InFlightState | null): void;
  /** Marks the requests of the same key that were sent before this one, for the variant that its response replaces; `null` for all variants. */
  supersede(state: InFlightState, replaced: Variant | null): void;
}

const none: readonly Variant[] = [];

/** Variants that are remembered for one request, so that a request that never ends does not collect them. */
const maxNewer = 32;

/** Creates an empty {@link InFlightRequests}. The requests of a key are in the order in which they were sent. */
export function createInFlightRequests(): InFlightRequests {
  const byKey = new Map<string, Set<InFlightState>>();
  return {
    add(key) {
      const state: InFlightState = { key, isOutdated: false, outdatedGroups: null, newer: none };
      const sent = byKey.get(key);
      if (sent === undefined) byKey.set(key, new Set([state]));
      else sent.add(state);
      return state;
    },
    remove(state) {
      const sent = byKey.get(state.key);
      sent?.delete(state);
      if (sent?.size === 0) byKey.delete(state.key);
    },
    invalidate({ keys, groups }, except) {
      for (const state of [...byKey.values()].flatMap((sent) => [...sent])) {
        const isDeleted = keys.includes(state.key);
        if (state !== except) {
          state.isOutdated ||= isDeleted;
          for (const group of groups) (state.outdatedGroups ??= new Set()).add(group);
        } else if (isDeleted) {
          // What was stored meanwhile is deleted now.
          state.newer = none;
        }
      }
    },
    supersede(state, replaced) {
      for (const other of byKey.get(state.key) ?? []) {
        if (other === state) return;
        if (replaced === null || other.newer.length >= maxNewer) other.isOutdated = true;
        // The entry itself would keep its body in memory.
        else if (!isSuperseded(other, replaced)) {
          other.newer = [...other.newer, { vary: replaced.vary, variant: replaced.variant }];
        }
      }
    },
  };
}

/** True if this variant has a response that was requested later. */
export function isSuperseded({ newer }: InFlightState, variant: Variant): boolean {
  return newer.some((other) => isSameVariant(other, variant));
}

/** Why the response of a request must not be stored; `null` if it may be. */
export function inFlightRefusal(state: InFlightState, entry: CacheEntry): "outdated" | "superseded" | null {
  if (state.isOutdated || entry.groups.some((group) => state.outdatedGroups?.has(group))) return "outdated";
  return isSuperseded(state, entry) ? "superseded" : null;
}

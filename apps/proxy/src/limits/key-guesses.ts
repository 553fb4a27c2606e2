/**
 * Failures of an address that do not count as the others do.
 *
 * Which gateway keys are still verified for a blocked address. Many callers can share an address, and one that sends wrong keys must not
 * lock out the others. So a well-formed key is verified although its address is blocked, until a few wrong secrets for the same key
 * id have come from that address. A secret has 256 random bits, so these attempts do not help to guess one.
 *
 * A token of a key that the issuer may have added a moment ago is refused and not counted, as long as an address does not send many.
 */
import type { Clock } from "@letta-environments/platform";
import { createBoundedMap } from "../lib/bounded-map.ts";

/** Wrong secrets for one key id from one blocked address, and the period in which they count, in milliseconds. */
const maxGuesses = 5;
const periodMs = 60_000;

/** Failures of one address that are not counted in such a period. */
const maxForgiven = 100;

/** Pairs of address and key id that are remembered. */
const maxPairs = 10_000;

/** Counts the wrong secrets for key ids that come from blocked addresses. */
export interface KeyGuesses {
  /** Whether a key with this id may be verified for a blocked address. */
  mayVerify(address: string | null, keyId: string): boolean;
  /** Counts a wrong secret. */
  count(address: string | null, keyId: string): void;
  /** Whether a failure with credentials that may be valid is not counted for an address. */
  forgives(address: string | null): boolean;
}

interface Guesses {
  readonly count: number;
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}

/** Creates {@link KeyGuesses}. */
export function createKeyGuesses(clock: Pick<Clock, "monotonic">): KeyGuesses {
  const pairs = createBoundedMap<Guesses>(maxPairs);
  const find = (pair: string): Guesses => {
    const guesses = pairs.get(pair);
    return guesses === undefined || clock.monotonic() >= guesses.untilMs
      ? { count: 0, untilMs: clock.monotonic() + periodMs }
      : guesses;
  };
  const add = (pair: string): number => {
    const { count, untilMs } = find(pair);
    pairs.set(pair, { count: count + 1, untilMs });
    return count;
  };
  return {
    mayVerify: (address, keyId) => find(`${address} ${keyId}`).count < maxGuesses,
    count: (address, keyId) => void add(`${address} ${keyId}`),
    // No address has a space.
    forgives: (address) => add(`${address}`) < maxForgiven,
  };
}

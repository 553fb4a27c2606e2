/**
 * Exceptions to the limit on failed authentication.
 *
 * First, well-formed gateway keys are still verified for a blocked address: many callers can share an address, and one that sends wrong keys
 * must not lock out the others. This ends after a few wrong secrets for the same key id from that address. A secret has 256 random bits, so
 * these attempts do not help to guess one. Tokens are verified too, with the issuer's known keys, until many wrong ones have come: a signature
 * cannot be guessed either, and the limit bounds the work. Concurrent verifications are counted afterwards, so that a valid credential is not
 * refused because many of its requests arrive at the same time.
 *
 * Second, a token is refused but not counted if the issuer may have just added its key. The number of such exempt failures per address is limited.
 */
import type { Clock } from "@letta-environments/platform";
import { createBoundedMap } from "../lib/bounded-map.ts";

/** Wrong secrets for one key id from one blocked address, and the period in which they count, in milliseconds. */
const maxGuesses = 5;
const periodMs = 60_000;

/** How many wrong tokens of a blocked address are verified, and how many failures of one address stay uncounted, per period. */
const maxWrongTokens = 100;
const maxUncounted = 100;

/** Entries that are remembered: pairs of address and key id, and addresses. */
const maxTallies = 10_000;

/** Exceptions to the limit on failed authentication. */
export interface FailureExemptions {
  /** Whether a key with this id, or (`null`) a token, may be verified for a blocked address. */
  mayVerify(address: string | null, keyId: string | null): boolean;
  /** Counts a wrong secret for a key id, or a wrong token, that came from a blocked address. */
  countWrong(address: string | null, keyId: string | null): void;
  /** Whether a failure with possibly valid credentials stays uncounted for an address. Each call uses up one. */
  allowsUncounted(address: string | null): boolean;
}

interface Tally {
  readonly count: number;
  /** Monotonic milliseconds. */
  readonly untilMs: number;
}

/** Creates {@link FailureExemptions}. */
export function createFailureExemptions(clock: Pick<Clock, "monotonic">): FailureExemptions {
  const tallies = createBoundedMap<Tally>(maxTallies);
  const find = (key: string): Tally => {
    const tally = tallies.get(key);
    return tally === undefined || clock.monotonic() >= tally.untilMs
      ? { count: 0, untilMs: clock.monotonic() + periodMs }
      : tally;
  };
  const add = (key: string): number => {
    const { count, untilMs } = find(key);
    tallies.set(key, { count: count + 1, untilMs });
    return count;
  };
  return {
    mayVerify: (address, keyId) => find(`${address} ${keyId}`).count < (keyId === null ? maxWrongTokens : maxGuesses),
    countWrong: (address, keyId) => void add(`${address} ${keyId}`),
    // An address alone cannot equal a pair, because no address contains a space.
    allowsUncounted: (address) => add(`${address}`) < maxUncounted,
  };
}

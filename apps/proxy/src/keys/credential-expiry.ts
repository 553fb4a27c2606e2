/**
 * Decides whether a key or a token has expired. Expiry follows wall time, with one exception: once seen as expired, a credential
 * stays expired in this process, even if the wall clock is set back. A credential that gets a later expiry is valid again.
 */
import type { Clock } from "@letta-environments/platform";
import type { HasExpired } from "../ports.ts";

/** Expired credentials kept in memory. */
const defaultCapacity = 10_000;

/**
 * Creates a {@link HasExpired} with its own memory. When the memory is full, the oldest credential is dropped; from then on, every
 * credential with the same or an earlier expiry counts as expired.
 */
export function createExpiryCheck(clock: Pick<Clock, "now">, capacity: number = defaultCapacity): HasExpired {
  const seen = new Map<string, number>();
  let forgottenUntil = -Infinity;

  function remember(credential: string, expiresAt: number): void {
    const [oldest] = seen;
    if (oldest !== undefined && seen.size >= capacity && !seen.has(credential)) {
      forgottenUntil = Math.max(forgottenUntil, oldest[1]);
      seen.delete(oldest[0]);
    }
    seen.set(credential, expiresAt);
  }

  return (credential, expiresAt) => {
    if (expiresAt === null) return false;
    if (clock.now() < expiresAt) return expiresAt <= Math.max(forgottenUntil, seen.get(credential) ?? -Infinity);
    remember(credential, expiresAt);
    return true;
  };
}

/** The ports of this package for Cloudflare Workers with `nodejs_compat`. */
import { createHash } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Sha256 } from "../digests.ts";
import { formatUlid, type RandomId, ulidRandomBytes } from "../ids.ts";

export { constantTimeEqual, hmacSha256Hex } from "../node/digests.ts";
export { type DurableSqlValue, type DurableStorage, openDurableSqlite } from "./sqlite.ts";

/** The clock of a Worker. Time does not advance between two I/O operations, and timers end with the request that set them. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

/** {@link Sha256} with `nodejs_compat`, because Web Crypto has only an asynchronous digest. */
export const sha256Hex: Sha256 = (input) => createHash("sha256").update(input).digest("hex");

/** Returns cryptographically strong random bytes. Workers allow it only during a request. */
export function randomBytes(byteLength: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(byteLength));
}

/** Returns a number from 0 up to but not including 1. For delays, never for secrets. */
export const random: () => number = Math.random;

/** {@link RandomId} with the Worker's time and randomness. */
export const randomId: RandomId = (prefix) => `${prefix}-${formatUlid(Date.now(), randomBytes(ulidRandomBytes))}`;

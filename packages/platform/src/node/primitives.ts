/** Clock, hashes and random ids for Node.js, Deno and Bun. Separate from the SQLite driver, because Bun has no `node:sqlite`. */
import { hash, randomFillSync } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Sha256 } from "../digests.ts";
import { formatUlid, type RandomId, ulidRandomBytes } from "../ids.ts";

export { constantTimeEqual, hmacSha256Hex } from "./digests.ts";

/** The system clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** {@link Sha256} with the one-shot `crypto.hash`, which allocates no hash object. */
export const sha256Hex: Sha256 = (input) => hash("sha256", input, "hex");

/** Returns a number from 0 up to but not including 1. For delays, never for secrets. */
export const random: () => number = Math.random;

// One system call provides the randomness of many ids.
const randomPool = new Uint8Array(400 * ulidRandomBytes);
let usedBytes = randomPool.byteLength;

/** {@link RandomId} with the system's time and randomness. */
export const randomId: RandomId = (prefix) => {
  if (usedBytes === randomPool.byteLength) {
    randomFillSync(randomPool);
    usedBytes = 0;
  }
  const id = `${prefix}-${formatUlid(Date.now(), randomPool, usedBytes)}`;
  usedBytes += ulidRandomBytes;
  return id;
};

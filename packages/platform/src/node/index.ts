/** The ports of this package for Node.js, Deno and Bun, which has a SQLite driver of its own (`bun/`). */
import { hash, randomFillSync } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Sha256 } from "../digests.ts";
import { formatUlid, type RandomId, ulidRandomBytes } from "../ids.ts";

export { constantTimeEqual, hmacSha256Hex } from "./digests.ts";
export { openSqlite } from "./sqlite.ts";

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

/** How many functions may wait for the end of a turn of the event loop. With more, the first one would wait too long. */
const maxWaiting = 64;

let waiting: (() => void)[] = [];

/**
 * Runs a function at the end of this turn of the event loop, in order. It must not throw. Writes to sockets wait for it: many in a row cost less than the
 * same number between other work; see docs/decisions/0010-runtimes.md.
 */
export function atTurnEnd(run: () => void): void {
  waiting.push(run);
  if (waiting.length === 1) setImmediate(runWaiting);
  else if (waiting.length >= maxWaiting) runWaiting();
}

function runWaiting(): void {
  const batch = waiting;
  waiting = [];
  for (const run of batch) run();
}

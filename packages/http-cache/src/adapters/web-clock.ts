import type { Clock } from "../ports.ts";

/** The system clock. */
export const webClock: Clock = { now: () => Date.now() };

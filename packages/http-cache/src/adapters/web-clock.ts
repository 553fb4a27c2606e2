import type { Clock } from "../ports.ts";

/** The clock of every web platform runtime. */
export const webClock: Clock = { now: () => Date.now() };

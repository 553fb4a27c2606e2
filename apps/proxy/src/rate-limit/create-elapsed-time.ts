import type { Clock } from "@letta-environments/platform";

/**
 * Whole microseconds that have passed since creation. Only what a clock moves forward counts: when it is set back, time here stands
 * still and then goes on, so that nothing that depends on it comes sooner or later than it would have.
 */
export function createElapsedTime(clock: Clock): () => number {
  // Last reading and time passed: numbers of this size in variables would be allocated anew at each change.
  const times = new Float64Array([Math.floor(clock.now() * 1_000), 0]);
  return () => {
    const nowUs = Math.floor(clock.now() * 1_000);
    const passedUs = nowUs - (times[0] ?? 0);
    times[0] = nowUs;
    if (passedUs > 0) times[1] = (times[1] ?? 0) + passedUs;
    return times[1] ?? 0;
  };
}

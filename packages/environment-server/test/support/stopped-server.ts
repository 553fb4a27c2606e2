import type { VirtualClock } from "@letta-environments/testkit";
import type { EnvironmentStore } from "../../src/index.ts";

/** Changes the data of a stopped server as if it had run for a while. To let the timers of months run would take minutes. */
export async function passRunningTime(store: EnvironmentStore, clock: VirtualClock, durationMs: number): Promise<void> {
  const { now, changes } = store.savedTime ?? { now: 0, changes: [] };
  await store.saveTime({ now: now + durationMs, changes });
  clock.shiftWallTime(durationMs);
}

/** Returns a clock whose timers do nothing once the process that has it was killed. */
export function createClockOfProcess(clock: VirtualClock): { readonly clock: VirtualClock; kill(): void } {
  let isAlive = true;
  const setTimer: VirtualClock["setTimer"] = (delayMs, run) =>
    clock.setTimer(delayMs, () => {
      if (isAlive) run();
    });
  return { clock: { ...clock, setTimer }, kill: () => void (isAlive = false) };
}

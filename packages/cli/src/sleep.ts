import type { Host } from "./host.ts";

/** Waits so many milliseconds. Rejects when the user ends the program. */
export function sleep({ clock, interrupted }: Pick<Host, "clock" | "interrupted">, delayMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      cancel();
      reject(new Error("interrupted"));
    };
    const cancel = clock.setTimer(delayMs, () => {
      interrupted.removeEventListener("abort", end);
      resolve();
    });
    if (interrupted.aborted) end();
    else interrupted.addEventListener("abort", end, { once: true });
  });
}

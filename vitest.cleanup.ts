/** Runs after each test file: the next one runs in the same process, and must find the real globals, variables and timers. */
import { afterAll, vi } from "vitest";

afterAll(() => {
  // First the stubs, since one may hide a fake timer.
  vi.unstubAllGlobals();
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

/** Runs after each test file: the next one runs in the same process, and must find the real globals, variables and timers. */
import { afterAll, vi } from "vitest";

afterAll(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.unstubAllEnvs();
});

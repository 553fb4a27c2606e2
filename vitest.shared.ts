import { join } from "node:path";
import process from "node:process";
import type { ViteUserConfig } from "vitest/config";

// Turbo has built the gateway before the tests that start it, which takes a third of the processor time. Without turbo the build may be an old one.
const isBuilt = process.env["TURBO_HASH"] !== undefined;

/**
 * Test settings of every package: where tests are, and the JSON report that `pnpm test` sums.
 *
 * Files use every core; the default leaves one free, which is half of a small machine. They share the modules that they load,
 * which saves two thirds of the processor time of short tests. `vitest.cleanup.ts` keeps what one file replaces from the next.
 */
export const sharedConfig: ViteUserConfig = {
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    reporters: ["default", "json"],
    outputFile: { json: "reports/vitest.json" },
    allowOnly: false,
    maxWorkers: "100%",
    isolate: false,
    // They end a test that hangs, and nothing else: a property test that takes two seconds alone took 34 on a machine with many other tasks.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The default of one second is short for a condition that another process has to meet.
    expect: { poll: { timeout: 15_000 } },
    setupFiles: [join(import.meta.dirname, "vitest.cleanup.ts")],
    env: isBuilt ? { LETTA_PROXY_ENTRY: join(import.meta.dirname, "apps/proxy/dist/node.js") } : {},
  },
};

import type { ViteUserConfig } from "vitest/config";

/** What the tests of every package share: where they lie, and the JSON report that the summary is summed from. */
export const sharedConfig: ViteUserConfig = {
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    reporters: ["default", "json"],
    outputFile: { json: "reports/vitest.json" },
    allowOnly: false,
  },
};

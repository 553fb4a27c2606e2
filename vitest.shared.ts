import type { ViteUserConfig } from "vitest/config";

/** Test settings of every package: where tests are, and the JSON report that `pnpm test` sums. */
export const sharedConfig: ViteUserConfig = {
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    reporters: ["default", "json"],
    outputFile: { json: "reports/vitest.json" },
    allowOnly: false,
  },
};

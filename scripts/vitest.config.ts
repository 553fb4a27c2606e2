import { defineConfig, type ViteUserConfig } from "vitest/config";

/** The tests of the repository's own scripts and of the benchmarks' arithmetic. */
const config: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  test: {
    include: ["**/*.test.mjs", "../bench/harness/*.test.ts"],
    reporters: ["default", "json"],
    outputFile: { json: "../reports/vitest.json" },
    allowOnly: false,
  },
});
export default config;

import { defineConfig, type ViteUserConfig } from "vitest/config";

/** The tests of the repository's own scripts. */
const config: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  test: {
    include: ["**/*.test.mjs"],
    reporters: ["default", "json"],
    outputFile: { json: "../reports/vitest.json" },
    allowOnly: false,
  },
});
export default config;

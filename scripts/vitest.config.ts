import { defineConfig, type ViteUserConfig } from "vitest/config";

/** Tests of the scripts and of the pure parts of bench/. */
const config: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  test: {
    include: ["**/*.test.mjs", "../bench/*/*.test.ts"],
    reporters: ["default", "json"],
    outputFile: { json: "../reports/vitest.json" },
    allowOnly: false,
  },
});
export default config;

import { join } from "node:path";
import { defineConfig, type ViteUserConfig } from "vitest/config";

/** `pnpm consumers`. The packages are packed once, before the first test, and served by a registry. */
const config: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: [join(import.meta.dirname, "support/global-setup.ts")],
    reporters: ["default", "json"],
    outputFile: { json: "reports/vitest.json" },
    allowOnly: false,
    maxWorkers: 2,
    // Installations and bundlers on a machine that does something else too.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
export default config;

import { defineConfig, type ViteUserConfig } from "vitest/config";
import { sharedConfig } from "../../vitest.shared.ts";

const config: ViteUserConfig = defineConfig({
  test: { ...sharedConfig.test, globalSetup: ["test/runtimes/build-first.ts"] },
});
export default config;

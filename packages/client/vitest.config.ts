import { defineConfig, type ViteUserConfig } from "vitest/config";
import { sharedConfig } from "../../vitest.shared.ts";

const config: ViteUserConfig = defineConfig({
  test: { ...sharedConfig.test, restoreMocks: true, unstubGlobals: true },
});
export default config;

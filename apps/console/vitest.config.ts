import { defineConfig, type ViteUserConfig } from "vitest/config";
import { sharedConfig } from "../../vitest.shared.ts";

const config: ViteUserConfig = defineConfig(sharedConfig);
export default config;

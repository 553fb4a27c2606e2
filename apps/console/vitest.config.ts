import { resolve } from "node:path";
import process from "node:process";
import { defineConfig, type ViteUserConfig } from "vitest/config";
import { sharedConfig } from "../../vitest.shared.ts";

// Turbo has built the gateway before these tests; without turbo the build may be an old one.
const isBuilt = process.env["TURBO_HASH"] !== undefined;
const env = isBuilt ? { LETTA_PROXY_ENTRY: resolve(import.meta.dirname, "../proxy/dist/node.js") } : {};

const config: ViteUserConfig = defineConfig({ ...sharedConfig, test: { ...sharedConfig.test, env } });
export default config;

import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

const config: UserConfig = defineConfig({
  ...sharedBuild,
  entry: {
    index: "src/index.ts",
    "node/index": "src/node/index.ts",
    "bun/index": "src/bun/index.ts",
    "cloudflare/index": "src/cloudflare/index.ts",
    "valkey/index": "src/valkey/index.ts",
  },
});
export default config;

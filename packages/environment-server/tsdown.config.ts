import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

/** The private package `platform` is bundled, its types included. Nothing from node_modules is. */
const config: UserConfig = defineConfig({
  ...sharedBuild,
  entry: {
    index: "src/index.ts",
    bun: "src/runtimes/bun.ts",
    node: "src/runtimes/node.ts",
    sqlite: "src/sqlite.ts",
    valkey: "src/valkey/index.ts",
    "valkey-connection": "src/runtimes/valkey-connection.ts",
  },
  deps: { ...sharedBuild.deps, alwaysBundle: [/^@letta-environments\/platform/], onlyBundle: [] },
});
export default config;

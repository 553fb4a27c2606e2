import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

/** The private package `command-line` is bundled. Nothing from node_modules is: its dependencies are dependencies of this package. */
const config: UserConfig = defineConfig({
  ...sharedBuild,
  dts: false,
  format: "esm",
  entry: { bin: "src/bin.ts" },
  deps: { ...sharedBuild.deps, onlyBundle: [] },
});
export default config;

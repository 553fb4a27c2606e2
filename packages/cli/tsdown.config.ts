import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

/** The private package `command-line` is bundled; its own dependencies are dependencies of this package. */
const config: UserConfig = defineConfig({
  ...sharedBuild,
  dts: false,
  entry: { bin: "src/bin.ts" },
  deps: { ...sharedBuild.deps, onlyBundle: ["@letta-environments/command-line"] },
});
export default config;

import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

const config: UserConfig = defineConfig({
  ...sharedBuild,
  entry: { index: "src/index.ts", guards: "src/guards.gen.ts" },
});
export default config;

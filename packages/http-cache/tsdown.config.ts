import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

const config: UserConfig = defineConfig({
  ...sharedBuild,
  entry: { index: "src/index.ts", rfc9111: "src/rfc9111.ts", testing: "src/testing.ts" },
});
export default config;

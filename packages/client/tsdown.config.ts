import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

const config: UserConfig = defineConfig({
  ...sharedBuild,
  entry: {
    index: "src/index.ts",
    drift: "src/drift.ts",
    opentelemetry: "src/opentelemetry.ts",
    testing: "src/testing/index.ts",
  },
});
export default config;

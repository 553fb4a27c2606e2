import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

const config: UserConfig = defineConfig({ ...sharedBuild, dts: false, entry: { bin: "src/bin.ts" } });
export default config;

import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

const config: UserConfig = defineConfig({
  ...sharedBuild,
  // A file for each source file, of the same name: bundlers leave out whole files more readily than parts of one.
  unbundle: true,
  entry: [
    "src/index.ts",
    "src/drift.gen.ts",
    "src/endpoints.ts",
    "src/environment.ts",
    "src/guards.gen.ts",
    "src/identifier.ts",
    "src/list-query.ts",
    "src/message.ts",
    "src/presence.ts",
    "src/problem.ts",
    "src/problem-definitions.ts",
    "src/register.ts",
  ],
});
export default config;

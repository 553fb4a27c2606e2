import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

const config: UserConfig = defineConfig({
  ...sharedBuild,
  // A file for each source file: bundlers leave out whole files more readily than parts of one.
  unbundle: true,
  entry: {
    index: "src/index.ts",
    drift: "src/drift.gen.ts",
    endpoints: "src/endpoints.ts",
    environment: "src/environment.ts",
    guards: "src/guards.gen.ts",
    identifier: "src/is-identifier.ts",
    "list-query": "src/list-query.ts",
    message: "src/message.ts",
    presence: "src/presence.ts",
    problem: "src/problem.ts",
    "problem-codes": "src/problem-definitions.ts",
    register: "src/register.ts",
  },
});
export default config;

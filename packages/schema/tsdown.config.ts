import { defineConfig, type UserConfig } from "tsdown";
import { sharedBuild } from "../../tsdown.shared.ts";

const config: UserConfig = defineConfig({
  ...sharedBuild,
  // A file for each source file: bundlers leave out whole files more readily than parts of one.
  unbundle: true,
  entry: {
    index: "src/index.ts",
    "drift.gen": "src/checks/drift.gen.ts",
    endpoints: "src/endpoints/endpoints.ts",
    environment: "src/schemas/environment.ts",
    "guards.gen": "src/checks/guards.gen.ts",
    identifier: "src/base/identifier.ts",
    "list-query": "src/schemas/list-query.ts",
    message: "src/schemas/message.ts",
    presence: "src/schemas/presence.ts",
    problem: "src/problems/problem.ts",
    "problem-definitions": "src/problems/problem-definitions.ts",
    register: "src/schemas/register.ts",
  },
});
export default config;

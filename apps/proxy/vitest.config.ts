import { availableParallelism } from "node:os";
import { configDefaults, defineConfig, type ViteUserConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { sharedConfig } from "../../vitest.shared.ts";

/** Tests that measure time, such as a deadline of 100 ms, run after the others and one file at a time. */
const timed = [
  "src/adapters/sqlite/*.test.ts",
  "src/adapters/valkey/*.test.ts",
  "test/rate-limit-slow-store.test.ts",
  "test/rate-limit-store-failures.test.ts",
  "test/rate-limits-processes.test.ts",
  "test/readiness.test.ts",
  "test/valkey-processes.test.ts",
];

/** Tests that replace the timers of the platform need a process that no earlier file has left a timer in. */
const simulated = ["test/simulation/*.test.ts"];

/** The suites of the runtimes take a minute each. They start first: otherwise the last of them runs alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      /\/runtimes\/(?:deno|bun|node)\.test\.ts$/.test(moduleId);
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

// A third of the time these tests wait, for processes and time limits, so half as many files again as there are cores run at once.
const maxWorkers = Math.ceil(availableParallelism() * 1.5);

// Reporters belong to the run, and everything else to its projects.
const { reporters: _reporters, outputFile: _outputFile, ...others } = { ...sharedConfig.test };
const shared = { ...others, maxWorkers };

const config: ViteUserConfig = defineConfig({
  test: {
    ...sharedConfig.test,
    maxWorkers,
    globalSetup: ["test/runtimes/build-first.ts"],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: false,
        test: { ...shared, name: "together", exclude: [...configDefaults.exclude, ...timed, ...simulated] },
      },
      { extends: false, test: { ...shared, name: "simulated", include: simulated, isolate: true } },
      {
        extends: false,
        test: { ...shared, name: "timed", include: timed, maxWorkers: 1, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
export default config;

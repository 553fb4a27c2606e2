import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { configDefaults, defineConfig, type ViteUserConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";
import { sharedConfig } from "../../vitest.shared.ts";

/** Tests that measure time, such as a deadline of 100 ms, or need both cores for their load run after the others and one file at a time. */
const timed = [
  "src/adapters/sqlite/*.test.ts",
  "src/adapters/valkey/*.test.ts",
  "test/overload/*.test.ts",
  "test/rate-limit-slow-store.test.ts",
  "test/rate-limit-store-failures.test.ts",
];

/** Tests that replace the timers of the platform need a process that no earlier file has left a timer in. */
const simulated = ["test/simulation/*.test.ts"];

/** Files that take from 15 seconds to a minute, the longest first. */
const longFiles = [
  "runtimes/deno",
  "runtimes/bun",
  "runtimes/node",
  "cloudflare/contracts",
  "faults/fault-matrix",
  "e2e/refused-device",
  "command-line",
  "valkey-processes",
  "e2e/crash",
  "docs/readme",
  "docs/guides",
  "runtimes/without-extensions",
  "simulation/simulation",
  "simulation/planted-bugs",
];

/** Long files start first: otherwise the last of them runs alone at the end. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rankOf = ({ moduleId }: TestSpecification): number => {
      const rank = longFiles.findIndex((name) => moduleId.endsWith(`/test/${name}.test.ts`));
      return rank === -1 ? longFiles.length : rank;
    };
    return (await super.sort(files)).toSorted((one, other) => rankOf(one) - rankOf(other));
  }
}

// Half of the time these tests wait, for processes and time limits, so twice as many files as there are cores run at once.
const maxWorkers = availableParallelism() * 2;

// Reporters belong to the run, and everything else to its projects.
const { reporters: _reporters, outputFile: _outputFile, ...others } = { ...sharedConfig.test };
// The gateway is started hundreds of times, so it is the built one (`build-first.ts`).
const env = { LETTA_PROXY_ENTRY: resolve(import.meta.dirname, "dist/node.js") };
const setupFiles = [others.setupFiles ?? [], "test/support/use-local-keys.ts"].flat();
const shared = { ...others, maxWorkers, env, setupFiles };

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

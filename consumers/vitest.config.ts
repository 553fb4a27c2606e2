import { execFileSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { defineConfig, type ViteUserConfig } from "vitest/config";

const rollback = "test/rollback.test.ts";

/** Whether git has the programs of earlier commits. A shallow clone and an archive of the repository do not. */
function hasHistory(): boolean {
  try {
    execFileSync("git", ["cat-file", "-e", "a58616e1110be86925f39b93377a4963a7ca9ed1"], { stdio: "ignore" });
    return true;
  } catch {
    process.stderr.write(`consumers: ${rollback} is left out, because it needs the history of the repository\n`);
    return false;
  }
}

/** `pnpm consumers`. The packages are packed once, before the first test, and served by a registry. */
const config: ViteUserConfig = defineConfig({
  root: import.meta.dirname,
  test: {
    include: ["test/**/*.test.ts"],
    exclude: hasHistory() ? [] : [rollback],
    globalSetup: [join(import.meta.dirname, "support/global-setup.ts")],
    reporters: ["default", "json"],
    outputFile: { json: "reports/vitest.json" },
    allowOnly: false,
    maxWorkers: 2,
    // Installations and bundlers on a machine that does something else too.
    testTimeout: 300_000,
    hookTimeout: 300_000,
  },
});
export default config;

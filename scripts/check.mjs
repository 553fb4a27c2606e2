/** `pnpm check`: runs every check except the tests, and lists the checks that failed. */
import { join } from "node:path";
import process from "node:process";
import { ensureNode, findNode } from "./setup/supported-node.mjs";
import { ensureBenchInstalled, ensureInstalled } from "./setup/installation.mjs";
import { repositoryRoot } from "./lib/repository.mjs";
import { runCommand } from "./lib/run-process.mjs";
import { runTasks, taskEnvironment } from "./lib/turbo.mjs";

await ensureInstalled("full", ensureNode);
const env = taskEnvironment();
const node = findNode() ?? process.execPath;

/** Runs a development tool. @param {string} name @param {readonly string[]} toolArguments */
const tool = (name, toolArguments) =>
  runCommand(join(repositoryRoot, "node_modules", ".bin", name), toolArguments, { env });
/** @param {string} name */
const script = (name) => runCommand(node, ["--disable-warning=ExperimentalWarning", join("scripts", name)], { env });

/** @type {readonly (readonly [name: string, run: () => Promise<number>])[]} */
const steps = [
  [
    "types",
    async () => {
      // The benchmarks are type-checked against dependencies of their own.
      await ensureBenchInstalled();
      return runTasks(["typecheck", "typecheck:scripts", "typecheck:bench"]);
    },
  ],
  ["lint", () => tool("oxlint", ["--type-aware", "--deny-warnings"])],
  ["format", () => tool("oxfmt", ["--check"])],
  ["structure", () => script("check/structure.mjs")],
  ["unused code", () => tool("knip", [])],
  ["Markdown", () => script("check/markdown.mjs")],
  ["problem pages", () => script("check/problem-pages.mjs")],
  ["configuration schema", () => script("config-schema.mjs")],
  ["generated files", () => script("../packages/schema/scripts/generate.ts")],
  ["generated files of the gateway", () => script("../apps/proxy/scripts/generate.ts")],
  ["OpenAPI rules", () => script("check/open-api.mjs")],
  ["runtimes", () => script("runtime-matrix.mjs")],
  ["build", () => runTasks(["build"])],
  ["byte budgets", () => script("check/budgets.mjs")],
  ["packages", () => script("check/packages.mjs")],
];

/** @type {string[]} */
const failed = [];
for (const [name, run] of steps) {
  process.stdout.write(`\n== ${name}\n`);
  const startedAt = performance.now();
  const code = await run();
  process.stdout.write(
    `== ${name}: ${code === 0 ? "ok" : "FAILED"} (${Math.round(performance.now() - startedAt)} ms)\n`,
  );
  if (code !== 0) failed.push(name);
}
process.stdout.write(failed.length === 0 ? "\nAll checks passed\n" : `\nFailed checks: ${failed.join(", ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;

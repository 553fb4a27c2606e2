/** `pnpm check`: runs every check except the tests, and lists the checks that failed. */
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ensureNode, findNode } from "./setup/supported-node.mjs";
import { ensureBenchInstalled, ensureConsumersInstalled, ensureInstalled } from "./setup/installation.mjs";
import { repositoryRoot } from "./lib/repository.mjs";
import { runCommand } from "./lib/run-process.mjs";
import { runSteps } from "./lib/run-steps.mjs";
import { runTasks, taskEnvironment } from "./lib/turbo.mjs";

await ensureInstalled("full", ensureNode);
/** @typedef {import("./lib/run-steps.mjs").Step["run"]} Run */

const env = taskEnvironment();
const node = findNode() ?? process.execPath;

/** Runs a development tool. @param {string} name @param {readonly string[]} toolArguments @returns {Run} */
const tool = (name, toolArguments) => (write) =>
  runCommand(join(repositoryRoot, "node_modules", ".bin", name), toolArguments, { env, write });
/** @param {string} name @returns {Run} */
const script = (name) => (write) =>
  runCommand(node, ["--disable-warning=ExperimentalWarning", join("scripts", name)], { env, write });

/** @type {Run} */
async function checkTypes(write) {
  // The benchmarks and the consumers are type-checked against dependencies of their own.
  await ensureBenchInstalled();
  await ensureConsumersInstalled();
  return runTasks(["typecheck", "typecheck:scripts", "typecheck:bench", "typecheck:consumers"], [], write);
}

// The longest come first, so that the others run in parallel with them.
/** @type {readonly import("./lib/run-steps.mjs").Step[]} */
const steps = [
  { name: "types", run: checkTypes },
  { name: "build", run: (write) => runTasks(["build"], [], write) },
  { name: "documentation site", run: script("../apps/site/scripts/build.mjs") },
  { name: "packages", run: script("check/packages.mjs"), after: ["build"] },
  { name: "lint", run: tool("oxlint", ["--type-aware", "--deny-warnings"]) },
  { name: "unused code", run: tool("knip", []) },
  { name: "OpenAPI rules", run: script("check/open-api.mjs") },
  { name: "supply chain", run: script("check/supply-chain.mjs") },
  { name: "structure", run: script("check/structure.mjs") },
  { name: "Markdown", run: script("check/markdown.mjs") },
  { name: "generated files", run: script("../packages/schema/scripts/generate.ts") },
  { name: "generated files of the gateway", run: script("../apps/proxy/scripts/generate.ts") },
  { name: "byte budgets", run: script("check/budgets.mjs"), after: ["build"] },
  { name: "configuration schema", run: script("config-schema.mjs") },
  { name: "workflows", run: script("check/workflows.mjs") },
  { name: "problem pages", run: script("check/problem-pages.mjs") },
  { name: "runtimes", run: script("runtime-matrix.mjs") },
  { name: "format", run: tool("oxfmt", ["--check"]) },
];

const failed = await runSteps(steps, availableParallelism(), ({ name }, { code, durationMs, output }) => {
  process.stdout.write(`\n== ${name}\n`);
  process.stdout.write(output);
  process.stdout.write(`== ${name}: ${code === 0 ? "ok" : "FAILED"} (${durationMs} ms)\n`);
});
process.stdout.write(failed.length === 0 ? "\nAll checks passed\n" : `\nFailed checks: ${failed.join(", ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;

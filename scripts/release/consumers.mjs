/**
 * `pnpm consumers`: packs the packages and uses them in clean projects, as other repositories do. `--all` adds the slowest ones. Other arguments
 * are passed to vitest.
 */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { ensureNode } from "../setup/supported-node.mjs";
import { ensureConsumersInstalled, ensureInstalled } from "../setup/installation.mjs";
import { repositoryRoot } from "../lib/repository.mjs";
import { runCommand } from "../lib/run-process.mjs";
import { runTasks, taskEnvironment } from "../lib/turbo.mjs";

// Chromium comes from the system, as it does for the other tests.
const missing = [
  !existsSync("/usr/bin/chromium") && "/usr/bin/chromium",
  !isOnPath("npm") && "npm",
  !isOnPath("git") && "git",
];
const [tool] = missing.filter((name) => name !== false);
if (tool !== undefined) {
  process.stderr.write(`consumers: ${tool} is missing: install it and start again\n`);
  process.exit(1);
}

const node = await ensureInstalled("full", ensureNode).then(ensureNode);
await ensureConsumersInstalled();
const given = process.argv.slice(2).filter((word) => word !== "--");
const all = given.includes("--all");
const built = await runTasks(["build"]);
if (built === 0) {
  const vitest = join(repositoryRoot, "node_modules/vitest/vitest.mjs");
  const words = ["run", "--config", "consumers/vitest.config.ts", ...given.filter((word) => word !== "--all")];
  const env = { ...taskEnvironment(), ...(all && { CONSUMERS_ALL: "1" }) };
  process.exitCode = await runCommand(node, [vitest, ...words], { env });
} else {
  process.exitCode = built;
}

/** @param {string} program */
function isOnPath(program) {
  return (process.env["PATH"] ?? "").split(delimiter).some((folder) => existsSync(join(folder, program)));
}

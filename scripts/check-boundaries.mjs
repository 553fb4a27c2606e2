/** Holds every module against the dependency rules of docs/architecture.md; the rules are in lib/boundaries.mjs. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { findBoundaryViolations } from "./lib/boundaries.mjs";
import { isModule } from "./lib/file-kind.mjs";
import { repositoryFiles } from "./lib/repository-files.mjs";
import { repositoryRoot } from "./lib/repository-root.mjs";

const files = repositoryFiles()
  .filter((path) => isModule(path) || path.endsWith(".gen.ts"))
  .map((path) => ({ path, source: readFileSync(join(repositoryRoot, path), "utf8") }));
const violations = findBoundaryViolations(files);
for (const violation of violations) process.stderr.write(`${violation}\n`);
process.stdout.write(`${files.length} modules, ${violations.length} violations\n`);
process.exitCode = violations.length === 0 ? 0 : 1;

/**
 * Checks imports, folder order, cycles, sizes and names; the rules are in lib/structure-rules.mjs. `--write` replaces the list of exceptions
 * (structure-exceptions.json) with the current violations: run it after a refactoring, and review what it adds.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { findBoundaryViolations } from "../lib/boundaries.mjs";
import { parseModule } from "../lib/parse-module.mjs";
import { isModule, readText, repositoryFiles, repositoryRoot } from "../lib/repository.mjs";
import { compareWithExceptions, findStructureViolations } from "../lib/structure.mjs";

const exceptionsFile = "scripts/structure-exceptions.json";
const modules = repositoryFiles()
  .filter(isModule)
  .map((path) => parseModule(path, readText(path)));
const violations = findStructureViolations(modules);
if (process.argv.includes("--write")) {
  const byRule = Map.groupBy(violations, ({ rule }) => rule);
  const exceptions = [...byRule].map(([rule, found]) => [rule, [...new Set(found.map(({ key }) => key))].toSorted()]);
  const text = `${JSON.stringify(Object.fromEntries(exceptions), null, 2)}\n`;
  writeFileSync(join(repositoryRoot, exceptionsFile), text);
}
const exceptions = JSON.parse(readText(exceptionsFile));
const problems = [
  ...modules.flatMap((module) => findBoundaryViolations(module)),
  ...compareWithExceptions(violations, exceptions),
];
for (const problem of problems) process.stderr.write(`${problem}\n`);
const allowed = Object.values(exceptions).flat().length;
process.stdout.write(`${modules.length} modules, ${allowed} exceptions, ${problems.length} problems\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

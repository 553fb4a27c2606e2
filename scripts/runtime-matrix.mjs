/**
 * Checks that the tables in docs/runtimes.md match the last results of the application suite; `--write`
 * updates them. Needs a Node that runs TypeScript, and `pnpm test` first.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { readRuntimeResults, renderDifferences, renderMatrix, replaceBetween } from "./lib/runtime-matrix.mjs";
import { repositoryRoot } from "./lib/repository.mjs";
import { knownDifferences } from "../apps/proxy/test/runtimes/known-differences.ts";

const writes = process.argv.includes("--write");
const results = readRuntimeResults();
/** @type {string[]} */
const problems = [];

/** @param {string} name @param {string} mark @param {string} table */
function checkTable(name, mark, table) {
  const path = join(repositoryRoot, name);
  const before = readFileSync(path, "utf8");
  const after = replaceBetween(before, mark, table);
  if (after === null) problems.push(`${name} has no marks '${mark}'`);
  else if (after !== before && writes) writeFileSync(path, after);
  else if (after !== before) problems.push(`${name} is stale: run 'pnpm test' and 'pnpm runtime-matrix'`);
}

checkTable("docs/runtimes.md", "known differences", renderDifferences(knownDifferences));
if (results.length > 0) checkTable("docs/runtimes.md", "runtime matrix", renderMatrix(results));
else if (process.env.CI) problems.push("there are no results of the application suite: run 'pnpm test' first");
else process.stdout.write("no results of the application suite yet; 'pnpm test' writes them\n");
for (const { runtime, sections } of results) {
  if (Object.values(sections).some(({ failed }) => failed > 0)) problems.push(`the suite failed on ${runtime}`);
}
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(`${results.length} runtimes, ${problems.length} problems\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

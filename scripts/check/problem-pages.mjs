/** Checks that every problem code has a page in docs/problems, and every page a code. Needs a Node that runs TypeScript. */
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { repositoryRoot } from "../lib/repository.mjs";
import { problemDefinitions } from "../../packages/schema/src/index.ts";

const folder = join(repositoryRoot, "docs", "problems");
const codes = Object.keys(problemDefinitions);
const pages = existsSync(folder)
  ? readdirSync(folder).filter((file) => file.endsWith(".md") && file !== "README.md")
  : [];

const problems = [
  ...codes.filter((code) => !pages.includes(`${code}.md`)).map((code) => `docs/problems/${code}.md is missing`),
  ...pages
    .filter((page) => !codes.includes(page.slice(0, -".md".length)))
    .map((page) => `docs/problems/${page} belongs to no problem code`),
  ...pages
    .filter((page) => !readFileSync(join(folder, page), "utf8").includes(page.slice(0, -".md".length)))
    .map((page) => `docs/problems/${page} does not name its code`),
];
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(`${codes.length} problem codes, ${pages.length} pages\n`);
process.exitCode = problems.length === 0 && codes.length > 0 ? 0 : 1;

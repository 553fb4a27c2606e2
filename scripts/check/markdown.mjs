/** Checks every Markdown file: links, anchors, swallowed list items, conflict markers and line length. */
import process from "node:process";
import { findMarkdownProblems } from "../lib/markdown.mjs";
import { readText, repositoryFiles, repositoryRoot } from "../lib/repository.mjs";

process.chdir(repositoryRoot);
const paths = repositoryFiles().filter((path) => path.endsWith(".md"));
const found = await findMarkdownProblems(Object.fromEntries(paths.map((path) => [path, readText(path)])));
const problems = [...found.values()].flat();
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(`${paths.length} Markdown files, ${problems.length} problems\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

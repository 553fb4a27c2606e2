/** Checks every Markdown file: links, anchors, conflict markers and line length. */
import process from "node:process";
import { findMarkdownProblems } from "../lib/markdown.mjs";
import { readText, repositoryFiles, repositoryRoot } from "../lib/repository.mjs";

/** Files, or beginnings of their paths, that may still have problems. An entry without problems left must be removed. */
const exceptions = [".changeset/"];

process.chdir(repositoryRoot);
const paths = repositoryFiles().filter((path) => path.endsWith(".md"));
const found = await findMarkdownProblems(Object.fromEntries(paths.map((path) => [path, readText(path)])));
const problems = [
  ...[...found].flatMap(([path, lines]) => (exceptions.some((start) => path.startsWith(start)) ? [] : lines)),
  ...exceptions
    .filter((start) => ![...found.keys()].some((path) => path.startsWith(start)))
    .map((start) => `${start}: no problem is left; remove it from the exceptions in scripts/check/markdown.mjs`),
];
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(`${paths.length} Markdown files, ${exceptions.length} exceptions, ${problems.length} problems\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

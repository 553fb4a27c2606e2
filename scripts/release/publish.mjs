/** Publishes tarballs to the npm registry. Everything that can be checked is checked before the first upload. */
import { execFile, execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { runCommand } from "../lib/run-process.mjs";
import { repositoryRoot } from "../lib/repository.mjs";

/** The first npm that publishes with the identity of a workflow (trusted publishing). */
const minimumNpm = "11.5.1";

/**
 * @typedef {object} ReleaseState
 * @property {string} npmVersion empty where npm is not installed
 * @property {string} changedFiles as `git status --porcelain` prints them
 * @property {readonly string[]} changesets names of the files that describe unreleased changes
 * @property {boolean} hasIdentity whether the process can prove to the registry which workflow it is
 */

/** Reads the state that decides whether a release can start. @returns {ReleaseState} */
export function readReleaseState() {
  return {
    npmVersion: output("npm", ["--version"]),
    changedFiles: output("git", ["status", "--porcelain"]),
    changesets: readdirSync(join(repositoryRoot, ".changeset")).filter(
      (name) => name.endsWith(".md") && name !== "README.md",
    ),
    hasIdentity: (process.env["ACTIONS_ID_TOKEN_REQUEST_URL"] ?? "") !== "",
  };
}

/**
 * Returns why a release cannot start: one line with the next step. Null if it can.
 *
 * @param {ReleaseState} state
 * @returns {string | null}
 */
export function findObstacle({ npmVersion, changedFiles, changesets, hasIdentity }) {
  if (npmVersion === "") return "npm is missing: install it, it uploads the packages";
  if (isOlder(npmVersion, minimumNpm)) {
    return `npm ${npmVersion} is too old: npm ${minimumNpm} is the first with trusted publishing; run npm install --global npm@latest`;
  }
  if (changesets.length > 0) {
    return `.changeset has unreleased changes (${changesets[0]}): run pnpm changeset version, and commit the result`;
  }
  if (changedFiles !== "")
    return "there are uncommitted changes: commit them, or the packages have no commit to point to";
  if (!hasIdentity) {
    return "this process has no identity for provenance: start the release workflow, which has the permission id-token: write";
  }
  return null;
}

/**
 * Publishes the tarballs in their order, and skips versions that the registry has, so that an interrupted release can be repeated.
 *
 * @param {readonly import("./pack.mjs").Tarball[]} tarballs
 * @param {{ registry?: string | undefined, provenance: boolean, report: (line: string) => void }} options
 * @returns {Promise<boolean>} false after the first one that could not be published
 */
export async function publishAll(tarballs, { registry, provenance, report }) {
  const from = registry === undefined ? [] : ["--registry", registry];
  for (const { name, version, path } of tarballs) {
    if (await isPublished(name, version, from)) {
      report(`${name}@${version} is published already`);
      continue;
    }
    const options = ["--access", "public", "--ignore-scripts", ...(provenance ? ["--provenance"] : []), ...from];
    if ((await runCommand("npm", ["publish", path, ...options], { quiet: true })) !== 0) {
      report(`${name}@${version} could not be published; repeat the release to continue from here`);
      return false;
    }
    report(`${name}@${version} published`);
  }
  return true;
}

/** @param {string} name @param {string} version @param {readonly string[]} from */
async function isPublished(name, version, from) {
  const view = ["view", `${name}@${version}`, "version", "--prefer-online", ...from];
  const { stdout } = await promisify(execFile)("npm", view).catch(() => ({ stdout: "" }));
  return stdout.trim() === version;
}

/** @param {string} version @param {string} minimum */
function isOlder(version, minimum) {
  const [given, needed] = [version, minimum].map((text) => text.split(".").map(Number));
  for (const [index, part] of (needed ?? []).entries()) {
    const difference = (given?.[index] ?? 0) - part;
    if (difference !== 0) return difference < 0;
  }
  return false;
}

/** @param {string} command @param {readonly string[]} commandArguments */
function output(command, commandArguments) {
  if (!existsSync(repositoryRoot)) return "";
  try {
    return execFileSync(command, commandArguments, {
      cwd: repositoryRoot,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return "";
  }
}

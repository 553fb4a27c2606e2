/** The next versions and changelogs, as changesets would write them, computed in a copy: the repository does not change. */
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { repositoryFiles, repositoryRoot } from "../lib/repository.mjs";
import { publishedPackages } from "./pack.mjs";

/**
 * @typedef {object} PlannedVersion
 * @property {string} name
 * @property {string} from the version in the repository
 * @property {string} to the next version; the same where nothing changes
 * @property {string} changes the new section of the changelog, without its heading; empty where nothing changes
 */

const copied = /^(?:package\.json|pnpm-workspace\.yaml|\.changeset\/.*|(?:.*\/)?package\.json|(?:.*\/)?CHANGELOG\.md)$/;

/** Runs changesets in a copy of the manifests. @returns {PlannedVersion[]} */
export function planVersions() {
  const copy = mkdtempSync(join(tmpdir(), "release-plan-"));
  try {
    for (const file of repositoryFiles().filter((path) => copied.test(path))) {
      mkdirSync(dirname(join(copy, file)), { recursive: true });
      cpSync(join(repositoryRoot, file), join(copy, file));
    }
    symlinkSync(join(repositoryRoot, "node_modules"), join(copy, "node_modules"));
    runChangesets(copy);
    return publishedPackages().map(({ folder, manifest }) => {
      const { version } = JSON.parse(readFileSync(join(copy, folder, "package.json"), "utf8"));
      const changelog = join(copy, folder, "CHANGELOG.md");
      const text = version !== manifest.version && existsSync(changelog) ? readFileSync(changelog, "utf8") : "";
      return { name: manifest.name, from: manifest.version, to: version, changes: latestChanges(text) };
    });
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

/** @param {string} copy */
function runChangesets(copy) {
  // Changesets would update the lockfile of the copy with pnpm, which nobody needs.
  const programs = join(copy, "node_modules-programs");
  mkdirSync(programs);
  writeFileSync(join(programs, "pnpm"), "#!/bin/sh\nexit 0\n");
  chmodSync(join(programs, "pnpm"), 0o755);
  const author = { GIT_AUTHOR_NAME: "release", GIT_AUTHOR_EMAIL: "release@example.invalid" };
  const committer = { GIT_COMMITTER_NAME: "release", GIT_COMMITTER_EMAIL: "release@example.invalid" };
  const path = `${programs}${delimiter}${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ""}`;
  const env = { ...process.env, ...author, ...committer, PATH: path, CI: "true" };
  /** @param {string} command @param {readonly string[]} commandArguments */
  const run = (command, commandArguments) => execFileSync(command, commandArguments, { cwd: copy, env, stdio: "pipe" });
  run("git", ["init", "--quiet", "--initial-branch=main"]);
  run("git", ["add", "--all", "package.json", ".changeset"]);
  run("git", ["commit", "--quiet", "--no-verify", "--message=manifests"]);
  run(process.execPath, [join(repositoryRoot, "node_modules/@changesets/cli/bin.js"), "version"]);
}

/**
 * The first section of a changelog without its heading, and without the commit before each entry, which exists only in the copy.
 *
 * @param {string} changelog
 */
export function latestChanges(changelog) {
  const [, latest = ""] = changelog.split(/^## .*$/m);
  return latest
    .replaceAll(/^- [0-9a-f]{7,40}: /gm, "- ")
    .replaceAll(/^- Updated dependencies \[[0-9a-f]+\]\n(?=- Updated)/gm, "")
    .replaceAll(/ \[[0-9a-f]{7,40}\]$/gm, "")
    .trim();
}

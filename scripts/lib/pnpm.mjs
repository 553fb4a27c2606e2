import { readFileSync } from "node:fs";
import { basename, delimiter, join } from "node:path";
import { repositoryRoot } from "./repository.mjs";
import { runCommand } from "./run-command.mjs";

/** The pnpm this repository is tested with, from the `packageManager` pin: `pnpm@1.2.3`. */
function pinnedPnpm() {
  const manifest = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8"));
  return String(manifest.packageManager).split("+")[0] ?? "pnpm";
}

/** PATH without the fetched Node: an npm or npx started by it would miss the settings of the machine's own npm. */
function pathWithoutFetchedNode() {
  const fetched = join(repositoryRoot, "node_modules", ".bin");
  return (process.env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => folder !== fetched)
    .join(delimiter);
}

/**
 * The pnpm that runs this script when its major version is the pinned one, else the pinned one through npx: another
 * major version reads pnpm-workspace.yaml differently.
 *
 * @returns {{ command: string, leading: readonly string[], env: NodeJS.ProcessEnv }}
 */
export function findPnpm() {
  const pinned = pinnedPnpm();
  const pinnedMajor = /@(\d+)\./.exec(pinned)?.[1];
  const runningMajor = /^pnpm\/(\d+)\./.exec(process.env.npm_config_user_agent ?? "")?.[1];
  const running = process.env.npm_execpath ?? "";
  if (runningMajor !== undefined && runningMajor === pinnedMajor && /^pnpm(?:[.\-_]|$)/.test(basename(running))) {
    return /\.[cm]?js$/.test(running)
      ? { command: process.execPath, leading: [running], env: process.env }
      : { command: running, leading: [], env: process.env };
  }
  return { command: "npx", leading: ["-y", pinned], env: { ...process.env, PATH: pathWithoutFetchedNode() } };
}

/**
 * Runs pnpm and resolves with its exit code.
 *
 * @param {readonly string[]} pnpmArguments
 * @param {{ quiet?: boolean, cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 */
export function runPnpm(pnpmArguments, options = {}) {
  const pnpm = findPnpm();
  return runCommand(pnpm.command, [...pnpm.leading, ...pnpmArguments], {
    ...options,
    env: { ...pnpm.env, ...options.env },
  });
}

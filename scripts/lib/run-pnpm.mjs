/** Runs pnpm in the version that this repository is tested with. */
import { basename } from "node:path";
import process from "node:process";
import { ensurePinnedPnpm, pathWithoutInstalledNode, pnpmVersion } from "./pinned-pnpm.mjs";
import { runCommand } from "./run-process.mjs";

/**
 * Runs pnpm and resolves with its exit code.
 *
 * @param {readonly string[]} pnpmArguments
 * @param {{ quiet?: boolean, cwd?: string, env?: NodeJS.ProcessEnv }} [options]
 */
export async function runPnpm(pnpmArguments, options = {}) {
  const pnpm = await findPnpm();
  return runCommand(pnpm.command, [...pnpm.leading, ...pnpmArguments], {
    ...options,
    env: { ...pnpm.env, ...options.env },
  });
}

/**
 * Returns the pnpm that runs this script if it has the pinned major version, and otherwise the pinned one: other major versions
 * read pnpm-workspace.yaml differently.
 *
 * @returns {Promise<{ command: string, leading: readonly string[], env: NodeJS.ProcessEnv }>}
 */
async function findPnpm() {
  const pinnedMajor = /^(\d+)\./.exec(pnpmVersion)?.[1];
  const runningMajor = /^pnpm\/(\d+)\./.exec(process.env.npm_config_user_agent ?? "")?.[1];
  const running = process.env.npm_execpath ?? "";
  if (runningMajor !== undefined && runningMajor === pinnedMajor && /^pnpm(?:[.\-_]|$)/.test(basename(running))) {
    return /\.[cm]?js$/.test(running)
      ? { command: process.execPath, leading: [running], env: process.env }
      : { command: running, leading: [], env: process.env };
  }
  const pinned = await ensurePinnedPnpm();
  if (pinned !== undefined) return { command: pinned, leading: [], env: process.env };
  const env = { ...process.env, PATH: pathWithoutInstalledNode() };
  return { command: "npx", leading: ["-y", `pnpm@${pnpmVersion}`], env };
}

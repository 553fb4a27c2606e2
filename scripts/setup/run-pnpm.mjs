/** Runs pnpm in the version that this repository is tested with. */
import { basename, delimiter, dirname } from "node:path";
import process from "node:process";
import { ensurePinnedPnpm, pathWithoutInstalledNode, pnpmVersion } from "./pinned-pnpm.mjs";
import { runCommand } from "../lib/run-process.mjs";

/**
 * Runs pnpm and resolves with its exit code.
 *
 * @param {readonly string[]} pnpmArguments
 * @param {{ quiet?: boolean, cwd?: string, env?: NodeJS.ProcessEnv, write?: (output: Uint8Array) => void }} [options]
 */
export async function runPnpm(pnpmArguments, options = {}) {
  const { command, leading, env } = await pnpmCommand({ ...process.env, ...options.env });
  return runCommand(command, [...leading, ...pnpmArguments], { ...options, env });
}

/**
 * Returns how pnpm is started: a command, the arguments before its own, and an environment in which the programs that it starts find it.
 *
 * @param {NodeJS.ProcessEnv} [env]
 * @returns {Promise<{ command: string, leading: readonly string[], env: NodeJS.ProcessEnv }>}
 */
export async function pnpmCommand(env = process.env) {
  const running = runningPnpm();
  if (running !== undefined) {
    const [command, ...leading] = running;
    return { command, leading, env };
  }
  const pinned = await ensurePinnedPnpm();
  if (pinned === undefined) {
    return {
      command: "npx",
      leading: ["-y", `pnpm@${pnpmVersion}`],
      env: { ...env, PATH: pathWithoutInstalledNode(env["PATH"]) },
    };
  }
  // Programs that pnpm starts, such as turbo, look for it on the PATH.
  return { command: pinned, leading: [], env: { ...env, PATH: `${dirname(pinned)}${delimiter}${env["PATH"] ?? ""}` } };
}

/**
 * Returns the command of the pnpm that runs this script, if it has the pinned major version: other versions read
 * pnpm-workspace.yaml differently.
 *
 * @returns {readonly [command: string, ...leading: string[]] | undefined}
 */
function runningPnpm() {
  const pinnedMajor = /^(\d+)\./.exec(pnpmVersion)?.[1];
  const runningMajor = /^pnpm\/(\d+)\./.exec(process.env.npm_config_user_agent ?? "")?.[1];
  const running = process.env.npm_execpath ?? "";
  if (runningMajor === undefined || runningMajor !== pinnedMajor) return undefined;
  if (!/^pnpm(?:[.\-_]|$)/.test(basename(running))) return undefined;
  return /\.[cm]?js$/.test(running) ? [process.execPath, running] : [running];
}

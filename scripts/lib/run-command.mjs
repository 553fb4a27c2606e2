/** Runs commands and waits for their exit codes; pnpm in the version that this repository is tested with. */
import { spawn } from "node:child_process";
import { basename, delimiter, join } from "node:path";
import process from "node:process";
import { readText, repositoryRoot } from "./repository.mjs";

/**
 * Runs a command and resolves with its exit code: 127 when it cannot be started, 128 when a signal ended it. Output goes to the
 * terminal; with `quiet` it is shown only when the command fails.
 *
 * @param {string} command
 * @param {readonly string[]} commandArguments
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, quiet?: boolean }} [options]
 * @returns {Promise<number>}
 */
export function runCommand(command, commandArguments, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, commandArguments, {
      cwd: options.cwd ?? repositoryRoot,
      env: options.env ?? process.env,
      stdio: options.quiet ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
    });
    /** @type {Buffer[]} */
    const output = [];
    child.stdout?.on("data", (chunk) => output.push(chunk));
    child.stderr?.on("data", (chunk) => output.push(chunk));
    child.on("error", (error) => {
      process.stderr.write(`${command}: ${error.message}\n`);
      resolve(127);
    });
    child.on("close", (code) => {
      if (code !== 0) process.stderr.write(Buffer.concat(output));
      resolve(code ?? 128);
    });
  });
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

/** The pnpm in the `packageManager` field of package.json: `pnpm@1.2.3`. */
function pinnedPnpm() {
  return String(JSON.parse(readText("package.json")).packageManager).split("+")[0] ?? "pnpm";
}

/** PATH without the Node that we installed: an npm or npx that runs on it would miss the settings of the machine's own npm. */
function pathWithoutInstalledNode() {
  const installed = join(repositoryRoot, "node_modules", ".bin");
  return (process.env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => folder !== installed)
    .join(delimiter);
}

/**
 * Returns the pnpm that runs this script if it has the pinned major version, and otherwise the pinned one through npx: other
 * major versions read pnpm-workspace.yaml differently.
 *
 * @returns {{ command: string, leading: readonly string[], env: NodeJS.ProcessEnv }}
 */
function findPnpm() {
  const pinned = pinnedPnpm();
  const pinnedMajor = /@(\d+)\./.exec(pinned)?.[1];
  const runningMajor = /^pnpm\/(\d+)\./.exec(process.env.npm_config_user_agent ?? "")?.[1];
  const running = process.env.npm_execpath ?? "";
  if (runningMajor !== undefined && runningMajor === pinnedMajor && /^pnpm(?:[.\-_]|$)/.test(basename(running))) {
    return /\.[cm]?js$/.test(running)
      ? { command: process.execPath, leading: [running], env: process.env }
      : { command: running, leading: [], env: process.env };
  }
  return { command: "npx", leading: ["-y", pinned], env: { ...process.env, PATH: pathWithoutInstalledNode() } };
}

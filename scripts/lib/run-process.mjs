/** Runs commands and waits for their exit codes. */
import { spawn } from "node:child_process";
import process from "node:process";
import { repositoryRoot } from "./repository.mjs";

/**
 * Runs a command and resolves with its exit code: 127 when it cannot be started, 128 when a signal ended it. Output goes to the
 * terminal; with `quiet` it is shown only when the command fails, and with `write` it is passed on.
 *
 * @param {string} command
 * @param {readonly string[]} commandArguments
 * @param {{ cwd?: string, env?: NodeJS.ProcessEnv, quiet?: boolean, write?: (output: Uint8Array) => void }} [options]
 * @returns {Promise<number>}
 */
export function runCommand(command, commandArguments, options = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, commandArguments, {
      cwd: options.cwd ?? repositoryRoot,
      env: options.env ?? process.env,
      stdio: options.quiet || options.write ? ["ignore", "pipe", "pipe"] : ["ignore", "inherit", "inherit"],
    });
    /** @type {Buffer[]} */
    const output = [];
    const keep = options.write ?? ((/** @type {Buffer} */ chunk) => void output.push(chunk));
    const report = options.write ?? ((/** @type {Uint8Array} */ chunk) => void process.stderr.write(chunk));
    child.stdout?.on("data", keep);
    child.stderr?.on("data", keep);
    child.on("error", (error) => {
      report(Buffer.from(`${command}: ${error.message}\n`));
      resolve(127);
    });
    child.on("close", (code) => {
      if (code !== 0 && output.length > 0) report(Buffer.concat(output));
      resolve(code ?? 128);
    });
  });
}

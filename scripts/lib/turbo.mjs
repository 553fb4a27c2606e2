import { execFileSync } from "node:child_process";
import { delimiter, dirname } from "node:path";
import process from "node:process";
import { findNode } from "../setup/supported-node.mjs";
import { runPnpm } from "../setup/run-pnpm.mjs";

/** The environment of tasks: a supported Node first on the PATH, and no telemetry or update checks. */
export function taskEnvironment() {
  const node = findNode() ?? process.execPath;
  return {
    ...process.env,
    PATH: `${dirname(node)}${delimiter}${process.env.PATH ?? ""}`,
    TEST_NODE_VERSION: execFileSync(node, ["--version"], { encoding: "utf8" }).trim(),
    DO_NOT_TRACK: "1",
    TURBO_TELEMETRY_DISABLED: "1",
  };
}

/**
 * Runs workspace tasks with turbo and resolves with its exit code. A failed task does not stop the others.
 *
 * @param {readonly string[]} tasks
 * @param {readonly string[]} [turboArguments]
 * @param {(output: Uint8Array) => void} [write] receives the output; default: it goes to the terminal
 */
export function runTasks(tasks, turboArguments = [], write) {
  return runPnpm(
    ["exec", "turbo", "run", ...tasks, "--continue", "--ui=stream", "--output-logs=new-only", ...turboArguments],
    { env: taskEnvironment(), ...(write && { write }) },
  );
}

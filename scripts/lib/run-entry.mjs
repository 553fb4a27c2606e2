/** Runs an entry of the workspace as a child process, as if it had been started directly. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ensureInstalled } from "../setup/installation.mjs";
import { repositoryRoot } from "./repository.mjs";
import { ensureNode } from "../setup/supported-node.mjs";

/** How often the npx above this script is checked. */
const npxPollMs = 500;

/**
 * Installs missing dependencies, runs a TypeScript entry in this terminal with a supported Node, and exits with its exit code.
 *
 * @param {string} entry path in the repository
 * @param {readonly string[]} entryArguments a leading `--`, which pnpm passes on, is dropped
 * @param {import("../setup/installation.mjs").InstallKind} needed
 * @param {(node: string) => void} [prepare] called with the executable before the entry runs
 */
export async function runEntry(entry, entryArguments, needed, prepare) {
  let node = "";
  try {
    await ensureInstalled(needed, async () => (node = await ensureNode()));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
  prepare?.(node);
  const given = entryArguments[0] === "--" ? entryArguments.slice(1) : entryArguments;
  const flags = ["--disable-warning=ExperimentalWarning"];
  // Node's compiled code of each TypeScript module is cached, so the next start takes half the time.
  const env = { NODE_COMPILE_CACHE: join(repositoryRoot, "node_modules", ".cache", "node"), ...process.env };
  const child = spawn(node, [...flags, join(repositoryRoot, entry), ...given], { stdio: "inherit", env });
  forwardSignals(child);
  child.on("error", (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 127;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  });
}

/**
 * Forwards the first SIGTERM, SIGINT or SIGHUP to the child. pnpm relays signals to the whole process group, so the child must
 * tolerate a second one. Ctrl-C in a terminal reaches the group anyway, so SIGINT is forwarded only without a terminal.
 *
 * @param {import("node:child_process").ChildProcess} child
 */
function forwardSignals(child) {
  let stopping = false;
  for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP", "SIGINT"])) {
    process.on(signal, () => {
      const isFirst = !stopping;
      stopping = true;
      if (isFirst && !(signal === "SIGINT" && process.stdin.isTTY)) child.kill(signal);
    });
  }
  onNpxEnd(() => {
    if (!stopping) child.kill("SIGTERM");
  });
}

/**
 * Calls back when the npx that started this script has ended. A signal sent to npx alone ends npx and its shell but not pnpm
 * below them, and the server would keep running. Works on Linux only, and does not keep the process alive.
 *
 * @param {() => void} onEnd
 */
function onNpxEnd(onEnd) {
  const npx = findNpx();
  if (npx === undefined) return;
  const timer = setInterval(() => {
    if (isAlive(npx)) return;
    clearInterval(timer);
    onEnd();
  }, npxPollMs);
  timer.unref();
}

/** Reads the parent and the command line of a process from the proc file system of Linux. @param {number} processId */
function describe(processId) {
  try {
    const stat = readFileSync(`/proc/${processId}/stat`, "utf8");
    // The second field is the program's name in parentheses and may contain spaces and parentheses itself.
    const parentId = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
    return { parentId, command: readFileSync(`/proc/${processId}/cmdline`, "utf8") };
  } catch {
    return undefined;
  }
}

/** The npx that this script was started through, or undefined. */
function findNpx() {
  let processId = process.ppid;
  for (let ancestor = describe(processId); ancestor !== undefined && processId > 1; ancestor = describe(processId)) {
    if (/^npm exec\b|\bnpx(?:-cli\.js)?\0/.test(ancestor.command)) return processId;
    processId = ancestor.parentId;
  }
  return undefined;
}

/** @param {number} processId */
function isAlive(processId) {
  try {
    process.kill(processId, 0);
    return true;
  } catch {
    return false;
  }
}

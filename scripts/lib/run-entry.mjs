import { spawn } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ensureNode } from "../ensure-node.mjs";
import { ensureInstalled } from "./installation.mjs";
import { onNpxEnd } from "./npx-ancestor.mjs";
import { repositoryRoot } from "./repository.mjs";

/**
 * Sends SIGTERM, SIGINT and SIGHUP on to the child, once each. pnpm relays signals to the whole process group, so the child can see
 * one twice and has to bear that. Ctrl-C in a terminal reaches the group by itself: SIGINT is passed on only where there is none.
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
 * Installs what is missing, then runs a TypeScript entry with a Node that can, in this terminal, and ends with its exit code.
 *
 * @param {string} entry path in the repository
 * @param {readonly string[]} entryArguments a leading `--`, which pnpm hands on, is dropped
 * @param {import("./installation.mjs").InstallKind} needed
 */
export async function runEntry(entry, entryArguments, needed) {
  let node = "";
  try {
    await ensureInstalled(needed, async () => (node = await ensureNode()));
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
  const given = entryArguments[0] === "--" ? entryArguments.slice(1) : entryArguments;
  const flags = ["--disable-warning=ExperimentalWarning"];
  const child = spawn(node, [...flags, join(repositoryRoot, entry), ...given], { stdio: "inherit" });
  forwardSignals(child);
  child.on("error", (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 127;
  });
  child.on("exit", (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  });
}

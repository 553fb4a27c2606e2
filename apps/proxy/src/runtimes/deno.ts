#!/usr/bin/env -S deno run --no-prompt --allow-net --allow-env --allow-sys --allow-read --allow-write
/** `letta-proxy` on Deno: the same server as on Node, on Deno's `node:` modules. See docs/decisions/0010-runtimes.md. */
import process from "node:process";
import { runCommandLine } from "./node/commands/run.ts";

// A missing permission ends the process with a line that names it. For the network, that happens only after the call that listens.
process.once("uncaughtException", (error) => {
  if (error.name !== "NotCapable") throw error;
  process.stderr.write(`letta-proxy: ${error.message}\n`);
  process.exit(1);
});
process.umask(0o077);
process.exitCode = await runCommandLine(process.argv.slice(2));

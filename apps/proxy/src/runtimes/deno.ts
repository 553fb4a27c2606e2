#!/usr/bin/env -S deno run --allow-net --allow-env --allow-sys --allow-read --allow-write
/** `letta-proxy` on Deno: the same server as on Node, on Deno's `node:` modules. See docs/decisions/0010-runtimes.md. */
import process from "node:process";
import { runCommandLine } from "./node/commands/run.ts";

process.umask(0o077);
process.exitCode = await runCommandLine(process.argv.slice(2));

#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
/** `letta-proxy` on Node.js. */
import "./node/require-node-version.ts";
import process from "node:process";
import { runCommandLine } from "./node/commands/run.ts";

// Files that it creates are for this user alone: rows, results and digests.
process.umask(0o077);
process.exitCode = await runCommandLine(process.argv.slice(2));

#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
/** `letta-proxy` on Node.js. */
import "./node/require-node-version.ts";
import process from "node:process";
import { runCommandLine } from "./node/commands/run.ts";

// Only this user may access the files that the gateway creates.
process.umask(0o077);
process.exitCode = await runCommandLine(process.argv.slice(2));

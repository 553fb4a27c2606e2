#!/usr/bin/env -S node --disable-warning=ExperimentalWarning
/** `letta-proxy` on Node.js. */
import process from "node:process";
import { runCommand } from "./node/run-command.ts";

// Whatever is written is for this user alone: rows, results and digests are nobody else's business.
process.umask(0o077);
process.exitCode = await runCommand(process.argv.slice(2));

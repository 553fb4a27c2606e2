#!/usr/bin/env node
/** `letta-env`. */
import process from "node:process";
import { createNodeHost } from "./adapters/node-host.ts";
import { runCommandLine } from "./run.ts";

// Idle connections, or a standard input that is not read, must not keep the process alive.
process.exit(await runCommandLine(createNodeHost()));

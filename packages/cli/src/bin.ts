#!/usr/bin/env node
/** `letta-env`. */
import process from "node:process";
import { createNodeHost } from "./adapters/node-host.ts";
import { runCommand } from "./run-command.ts";

// Idle connections and a standard input that nobody reads must not keep the process.
process.exit(await runCommand(createNodeHost()));

#!/usr/bin/env node
/** `letta-env`. */
import process from "node:process";
import { enableCompileCache } from "./adapters/compile-cache.ts";

enableCompileCache();
const { createNodeHost } = await import("./adapters/node-host.ts");
const { runCommandLine } = await import("./run.ts");

// Idle connections, or a standard input that is not read, must not keep the process alive.
process.exit(await runCommandLine(createNodeHost()));

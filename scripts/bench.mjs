/** `pnpm bench [name] [--save]`: installs the dependencies of bench/ if they are missing and runs the benchmarks. */
import process from "node:process";
import { ensureNode } from "./setup/supported-node.mjs";
import { ensureBenchInstalled, ensureInstalled } from "./setup/installation.mjs";
import { runEntry } from "./lib/run-entry.mjs";

await ensureInstalled("full", ensureNode);
await ensureBenchInstalled();
await runEntry("bench/run.ts", process.argv.slice(2), "full");

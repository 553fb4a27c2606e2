/** `pnpm letta-env COMMAND [options]`: the command-line tool, unbuilt. */
import process from "node:process";
import { runEntry } from "./lib/run-entry.mjs";

await runEntry("packages/cli/src/bin.ts", process.argv.slice(2), "full");

/** `pnpm start [options]`: starts the proxy; installs only what it needs to run, and only when that is missing. */
import process from "node:process";
import { runEntry } from "./lib/run-entry.mjs";
import { ensureConsoleBuilt } from "./setup/console.mjs";

const given = process.argv.slice(2);
await runEntry(
  "apps/proxy/src/runtimes/node.ts",
  ["start", ...(given[0] === "--" ? given.slice(1) : given)],
  "production",
  ensureConsoleBuilt,
);

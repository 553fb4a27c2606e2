/** `pnpm device [options]`: starts the real Letta Code device program, a development dependency, against a running proxy. */
import process from "node:process";
import { runEntry } from "./lib/run-entry.mjs";

await runEntry("packages/testkit/src/run-device.ts", process.argv.slice(2), "full");

/** `pnpm simulate`: runs the whole gateway on a simulated clock, under faults that a seed decides. */
import process from "node:process";
import { runEntry } from "../lib/run-entry.mjs";

await runEntry("apps/proxy/test/simulation/main.ts", process.argv.slice(2), "full");

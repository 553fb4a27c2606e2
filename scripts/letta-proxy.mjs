/** `pnpm letta-proxy COMMAND [options]`: any command of the proxy, with the same bootstrap as `pnpm start`. */
import process from "node:process";
import { runEntry } from "./lib/run-entry.mjs";

await runEntry("apps/proxy/src/runtimes/node.ts", process.argv.slice(2), "production");

/** `pnpm build`: writes `dist` of every published package and of the gateway. */
import process from "node:process";
import { ensureNode } from "./setup/supported-node.mjs";
import { ensureInstalled } from "./setup/installation.mjs";
import { runTasks } from "./lib/turbo.mjs";

await ensureInstalled("full", ensureNode);
process.exitCode = await runTasks(["build"], process.argv.slice(2));

/**
 * `node scripts/pnpm.mjs build`: runs the pinned pnpm as `npx pnpm@VERSION build` does, but verifies it by its hash first. For
 * continuous integration and images.
 */
import process from "node:process";
import { runPnpm } from "./setup/run-pnpm.mjs";

process.exitCode = await runPnpm(process.argv.slice(2));

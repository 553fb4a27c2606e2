/** `pnpm bench [name] [--save]`: runs the benchmarks of bench/, whose own dependencies are installed there when they are missing. */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ensureNode } from "./ensure-node.mjs";
import { ensureInstalled } from "./lib/installation.mjs";
import { runPnpm } from "./lib/pnpm.mjs";
import { repositoryRoot } from "./lib/repository-root.mjs";
import { runEntry } from "./lib/run-entry.mjs";

const folder = join(repositoryRoot, "bench");
const stampFile = join(folder, "node_modules", ".installed");

/** A workspace of its own: nothing it needs enters the lockfile of the packages. */
async function ensureBenchInstalled() {
  const key = createHash("sha256");
  for (const file of ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml"])
    key.update(readFileSync(join(folder, file)));
  const stamp = key.digest("hex");
  if (existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp) return;
  process.stderr.write("Installing what the benchmarks need ...\n");
  const code = await runPnpm(["install", "--dir", folder, "--frozen-lockfile"], { cwd: folder, quiet: true });
  if (code !== 0) throw new Error(`pnpm install in bench ended with ${code}`);
  writeFileSync(stampFile, stamp);
}

await ensureInstalled("full", ensureNode);
await ensureBenchInstalled();
await runEntry("bench/run.ts", process.argv.slice(2), "full");

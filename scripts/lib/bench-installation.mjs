import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { runPnpm } from "./pnpm.mjs";
import { repositoryRoot } from "./repository.mjs";

const folder = join(repositoryRoot, "bench");
const stampFile = join(folder, "node_modules", ".installed");

/** Installs what bench/ needs: a workspace of its own, so that nothing of it enters the lockfile of the packages. */
export async function ensureBenchInstalled() {
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

/** Builds the web console in a checkout before the gateway starts, when it is missing or older than its sources. */
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { repositoryRoot } from "../lib/repository.mjs";

const folder = join(repositoryRoot, "apps", "console");
const page = join(folder, "dist", "index.html");

/** Builds the console if needed. The gateway starts without it when that fails. @param {string} node the executable */
export function ensureConsoleBuilt(node) {
  if (isBuilt()) return;
  try {
    execFileSync(node, ["--disable-warning=ExperimentalWarning", join(folder, "scripts", "build.ts")], {
      stdio: "pipe",
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    process.stderr.write(`The web console could not be built, so the gateway starts without it: ${reason}\n`);
  }
}

function isBuilt() {
  if (!existsSync(page)) return false;
  const builtAt = statSync(page).mtimeMs;
  const sources = ["apps/console", "packages/client", "packages/command-line", "packages/schema"].map((name) =>
    join(repositoryRoot, name, "src"),
  );
  return sources.every((source) =>
    readdirSync(source, { recursive: true }).every((path) => statSync(join(source, String(path))).mtimeMs <= builtAt),
  );
}

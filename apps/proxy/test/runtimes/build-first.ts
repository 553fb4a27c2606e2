import { execFileSync } from "node:child_process";
import { join, resolve } from "node:path";
import process from "node:process";

/** Builds what the suite starts, so that no test runs against an older build. Where turbo runs the tests it has built already. */
export function setup(): void {
  if (process.env["TURBO_HASH"] !== undefined) return;
  const folder = resolve(import.meta.dirname, "../..");
  const program = join(folder, "../../node_modules/.bin/tsdown");
  execFileSync(program, ["--log-level", "error"], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
}

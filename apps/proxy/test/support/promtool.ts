/** promtool, which checks metrics and alert rules as Prometheus does. */
import { spawnSync } from "node:child_process";
import process from "node:process";

/**
 * Whether tests that need promtool can run. Where `CI` is set it is always true, so that a missing promtool fails them; elsewhere
 * it is said on standard error, and they are skipped.
 */
export function canRunPromtool(): boolean {
  if (process.env["CI"] || spawnSync("promtool", ["--version"]).status === 0) return true;
  process.stderr.write("\nSKIPPED: tests of metrics and alert rules with promtool. It is not on the PATH\n\n");
  return false;
}

/** Runs promtool to its end. Throws if it is missing. */
export function runPromtool(
  args: readonly string[],
  input = "",
): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { error, ...result } = spawnSync("promtool", args, { encoding: "utf8", input });
  if (error !== undefined) throw error;
  return result;
}

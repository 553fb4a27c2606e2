import { execFileSync, type ExecFileSyncOptions } from "node:child_process";
import { join, resolve } from "node:path";
import process from "node:process";
import { installSharedGateways } from "./runtime-commands.ts";

/** Builds the gateway before the tests, so that no test runs an older build. Turbo has already built it when it runs the tests. */
export function setup(): void {
  if (process.env["TURBO_HASH"] === undefined) build();
  installSharedGateways();
}

function build(): void {
  const folder = resolve(import.meta.dirname, "../..");
  const program = join(folder, "../../node_modules/.bin/tsdown");
  const options: ExecFileSyncOptions = { cwd: folder, stdio: ["ignore", "ignore", "inherit"] };
  execFileSync(program, ["--log-level", "error"], options);
  execFileSync(process.execPath, ["scripts/static-files.ts"], options);
}

/** How the built gateway is started on each of the runtimes that run it as a process. */
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import process from "node:process";
import { builtArtefact } from "./built-artefact.ts";

/** A runtime whose gateway is a process. */
export type ServerRuntime = "node" | "bun" | "deno";

const { resolve } = createRequire(import.meta.url);

/** What Deno lets the gateway do; the guide and the image name the same. */
export const denoPermissions: readonly string[] = [
  "--allow-net",
  "--allow-env",
  "--allow-read",
  "--allow-write",
  "--allow-sys",
];

/**
 * The real program of a runtime. What lies in `.bin` are wrappers, which a signal ends without the program they started.
 *
 * @throws Error when it is missing, so that no test passes without it.
 */
export function runtimeProgram(runtime: ServerRuntime): string {
  if (runtime === "node") return process.execPath;
  const folder = dirname(resolve(`${runtime}/package.json`));
  const program = runtime === "bun" ? join(folder, "bin", "bun.exe") : join(folder, "deno");
  if (!existsSync(program)) throw new Error(`${program} is missing: 'pnpm install' puts it in place.`);
  return program;
}

/** The command that runs the built gateway, to which the words of a `letta-proxy` command are added. */
export function gatewayCommand(runtime: ServerRuntime): readonly [program: string, ...words: string[]] {
  const program = runtimeProgram(runtime);
  const artefact = builtArtefact(`${runtime}.js`);
  if (runtime === "deno")
    return [program, "run", "--no-config", "--no-lock", "--no-prompt", ...denoPermissions, artefact];
  return [program, artefact];
}

/** The version of a runtime's program. */
export function runtimeVersion(runtime: ServerRuntime): string {
  if (runtime === "node") return process.versions.node;
  const text = execFileSync(runtimeProgram(runtime), ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? text.trim();
}

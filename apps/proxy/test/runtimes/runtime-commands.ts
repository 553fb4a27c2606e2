/** How the built gateway is started on each of the runtimes that run it as a process. */
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve as resolvePath } from "node:path";
import process from "node:process";
import { builtArtefact } from "./built-artefact.ts";

/** A runtime whose gateway is a process. */
export type ServerRuntime = (typeof serverRuntimes)[number];

const serverRuntimes = ["node", "bun", "deno"] as const;

const { resolve } = createRequire(import.meta.url);

/** The Deno permissions of the gateway, in the folder in which it runs. Each is needed: `--allow-sys` for the umask. */
export const denoPermissions: readonly string[] = [
  "--allow-net",
  "--allow-env",
  "--allow-sys",
  "--allow-read=.",
  "--allow-write=.",
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

/** A folder with the built gateway of a runtime and nothing else. A runtime finds what it compiled by the path of the file, so the path is always the same. */
const sharedFolder = (runtime: ServerRuntime): string =>
  resolvePath(import.meta.dirname, "../../node_modules/.cache/gateway", runtime);

/** Puts the built gateways where {@link gatewayCommand} runs them. */
export function installSharedGateways(): void {
  for (const runtime of serverRuntimes) {
    mkdirSync(sharedFolder(runtime), { recursive: true });
    installGateway(runtime, sharedFolder(runtime));
  }
}

/**
 * Returns the command of the built gateway, which runs in any folder and starts in half of the time that a new copy takes; the words of a
 * `letta-proxy` command are added to it.
 */
export function gatewayCommand(runtime: ServerRuntime): readonly [program: string, ...words: string[]] {
  const folder = sharedFolder(runtime);
  return commandOf(runtime, join(folder, `${runtime}.js`), [`--allow-read=${folder}`]);
}

/**
 * Copies the built gateway into a folder that has nothing else, as one would to a server, and returns the command that runs it there; the
 * words of a `letta-proxy` command are added to it.
 *
 * @param dist the folder with the built files; absent: this checkout's, which must be newer than its sources
 */
export function installGateway(
  runtime: ServerRuntime,
  folder: string,
  dist?: string,
): readonly [program: string, ...words: string[]] {
  const file = `${runtime}.js`;
  copyFileSync(dist === undefined ? builtArtefact(file) : join(dist, file), join(folder, file));
  return commandOf(runtime, file);
}

function commandOf(
  runtime: ServerRuntime,
  file: string,
  morePermissions: readonly string[] = [],
): readonly [program: string, ...words: string[]] {
  const program = runtimeProgram(runtime);
  if (runtime !== "deno") return [program, file];
  return [program, "run", "--no-prompt", ...denoPermissions, ...morePermissions, file];
}

/** The version of a runtime's program. */
export function runtimeVersion(runtime: ServerRuntime): string {
  if (runtime === "node") return process.versions.node;
  const text = execFileSync(runtimeProgram(runtime), ["--version"], { encoding: "utf8" });
  return /\d+\.\d+\.\d+/.exec(text)?.[0] ?? text.trim();
}

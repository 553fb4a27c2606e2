import { execFile } from "node:child_process";
import { baseEnvironment } from "@letta-environments/testkit";
import { gatewayCommand, type ServerRuntime } from "./runtime-commands.ts";

/** How a command ended. */
export interface CommandResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a `letta-proxy` command of the built gateway in a folder, to its end. */
export function runBuilt(
  runtime: ServerRuntime,
  words: readonly string[],
  { folder, env = {} }: { readonly folder: string; readonly env?: Readonly<Record<string, string>> },
): Promise<CommandResult> {
  const [program, ...before] = gatewayCommand(runtime);
  const options = { cwd: folder, env: { ...baseEnvironment, HOME: folder, ...env } };
  return new Promise((resolve) => {
    execFile(program, [...before, ...words], options, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === "number" ? error.code : -1;
      resolve({ code, stdout, stderr });
    });
  });
}

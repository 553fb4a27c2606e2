import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { baseEnvironment } from "@letta-environments/testkit";

/** The unbuilt program. */
export const entry: string = join(import.meta.dirname, "../../src/bin.ts");

/** How a run ended. */
export interface CliResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run the program. */
export interface CliOptions {
  /** The whole environment but for PATH. */
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input; closed at once when absent. */
  readonly input?: string | Uint8Array;
  /** Command that runs the entry; Node.js when absent. */
  readonly runtime?: readonly [command: string, ...args: string[]];
}

/** A running program. */
export interface StartedCli {
  readonly result: Promise<CliResult>;
  signal(name: NodeJS.Signals): void;
  /** Resolves when the output, by default standard output, holds the text. */
  printed(wanted: string, output?: "stdout" | "stderr"): Promise<void>;
  /** Closes the reading end of standard output, as `head` does. */
  closeOutput(): void;
}

/** Starts the program in its own process, with pipes. */
export function startCli(args: readonly string[], options: CliOptions = {}): StartedCli {
  const [command, ...before] = options.runtime ?? [process.execPath, "--disable-warning=ExperimentalWarning"];
  const child = spawn(command, [...before, entry, ...args], {
    env: { ...baseEnvironment, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // A program that fails before it reads closes its end.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const written = { stdout: "", stderr: "" };
  const listeners = new Set<() => void>();
  for (const name of ["stdout", "stderr"] as const)
    child[name].setEncoding("utf8").on("data", (chunk: string) => {
      written[name] += chunk;
      for (const listener of listeners) listener();
    });
  const result = once(child, "close").then(([code]): CliResult => ({ code: code as number | null, ...written }));
  return {
    result,
    signal: (name) => void child.kill(name),
    closeOutput: () => void child.stdout.destroy(),
    printed: (wanted, output = "stdout") =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (written[output].includes(wanted)) resolve();
        };
        listeners.add(look);
        void result.then(() => reject(new Error(`the program ended before it printed ${wanted}`)));
        look();
      }),
  };
}

/** Runs the program to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).result;
}

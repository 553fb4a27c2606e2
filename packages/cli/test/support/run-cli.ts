import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { text } from "node:stream/consumers";
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
  /** Resolves when standard output holds the text. */
  printed(wanted: string): Promise<void>;
}

/** Starts the program in a process of its own, with pipes. */
export function startCli(args: readonly string[], options: CliOptions = {}): StartedCli {
  const [command, ...before] = options.runtime ?? [process.execPath, "--disable-warning=ExperimentalWarning"];
  const child = spawn(command, [...before, entry, ...args], {
    env: { ...baseEnvironment, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  // A program that fails before it reads closes its end.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  let stdout = "";
  const listeners = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    stdout += chunk;
    for (const listener of listeners) listener();
  });
  const stderr = text(child.stderr);
  const result = once(child, "close").then(async ([code]): Promise<CliResult> => ({
    code: code as number | null,
    stdout,
    stderr: await stderr,
  }));
  return {
    result,
    signal: (name) => void child.kill(name),
    printed: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (stdout.includes(wanted)) resolve();
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

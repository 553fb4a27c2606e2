/** Starts programs as processes of a test, and reads their output. Gateways, devices and Valkey are started through it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join, resolve } from "node:path";
import process from "node:process";

/** Exit status of a process. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A child process whose output a test can wait for. */
export interface LaunchedProcess {
  readonly pid: number;
  /** Everything printed so far, standard output and standard error in the order in which they arrived. */
  output(): string;
  /** Standard output alone. */
  standardOutput(): string;
  /**
   * Resolves with the first match in {@link output}, past or future.
   * @throws Error with the end of the output when the process ends or the time runs out first.
   */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<RegExpMatchArray>;
  readonly exited: Promise<ProcessExit>;
  /** Sends a signal, kills the process after ten seconds, and resolves when it has ended. */
  stop(signal?: NodeJS.Signals): Promise<ProcessExit>;
}

/** A command and its environment. */
export interface LaunchOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  /** The environment of the process, to which only {@link baseEnvironment} is added. */
  readonly env?: Readonly<Record<string, string>>;
}

const cacheFolder = resolve(import.meta.dirname, "../../../node_modules/.cache");

/** The variables of every process that a test starts. The caches keep what Node, Bun and Deno have compiled, so that programs start in half of the time. */
export const baseEnvironment: Readonly<Record<string, string>> = {
  PATH: process.env["PATH"] ?? "",
  NODE_COMPILE_CACHE: join(cacheFolder, "node"),
  BUN_RUNTIME_TRANSPILER_CACHE_PATH: join(cacheFolder, "bun"),
  DENO_DIR: join(cacheFolder, "deno"),
};

const running = new Set<number>();
process.once("exit", () => {
  for (const pid of running) killGroup(pid, "SIGKILL");
});

/** Starts a process in its own group. It is killed when the test process ends. */
export function launchProcess(options: LaunchOptions): LaunchedProcess {
  const child = spawn(options.command, options.args, {
    cwd: options.cwd,
    env: { ...baseEnvironment, ...options.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
  });
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${options.command} could not be started`);
  running.add(pid);
  let output = "";
  let standardOutput = "";
  const listeners = new Set<() => void>();
  const notify = (): void => listeners.forEach((listener) => listener());
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    standardOutput += text;
    output += text;
    notify();
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    notify();
  });
  let ended = false;
  const exited = once(child, "close").then(([code, signal]): ProcessExit => {
    ended = true;
    running.delete(pid);
    notify();
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });

  return {
    pid,
    output: () => output,
    standardOutput: () => standardOutput,
    exited,
    waitForOutput(pattern, timeoutMs = 30_000) {
      return new Promise((resolve, reject) => {
        const finish = (settle: () => void): void => {
          clearTimeout(timer);
          listeners.delete(look);
          settle();
        };
        const fail = (what: string): void =>
          finish(() => reject(new Error(`${what} before ${String(pattern)} was printed:\n${output.slice(-2_000)}`)));
        const timer = setTimeout(() => fail(`${timeoutMs} ms passed`), timeoutMs);
        const look = (): void => {
          const match = output.match(pattern);
          if (match !== null) finish(() => resolve(match));
          else if (ended) fail("the process ended");
        };
        listeners.add(look);
        look();
      });
    },
    async stop(signal = "SIGTERM") {
      if (!ended) killGroup(pid, signal);
      const timer = setTimeout(() => killGroup(pid, "SIGKILL"), 10_000);
      const exit = await exited;
      clearTimeout(timer);
      return exit;
    },
  };
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended already.
  }
}

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { baseEnvironment } from "@letta-environments/testkit";
import { entry } from "./run-cli.ts";

// The size is set before the program starts, so that it never sees another.
const script = `
import fcntl, os, pty, select, struct, sys, termios
pid, fd = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
    os.execvp(sys.argv[3], sys.argv[3:])
raw_keys = sys.argv[2].encode()
is_raw = lambda: not termios.tcgetattr(fd)[3] & termios.ICANON
inputs = [0, fd]
while fd in inputs:
    if raw_keys and is_raw():
        os.write(fd, raw_keys)
        raw_keys = b""
    for ready in select.select(inputs, [], [], 0.005 if raw_keys else None)[0]:
        try:
            data = os.read(ready, 65536)
        except OSError:
            data = b""
        if not data:
            inputs.remove(ready)
        elif ready == 0:
            os.write(fd, data)
        else:
            os.write(1, data)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) & 0xff
sys.exit("the program left the terminal in raw mode" if is_raw() else code)
`;

/** How a program runs on a pseudo-terminal. */
export interface TerminalOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly columns: number;
  /** The runtime and its arguments. Default: Node.js. */
  readonly runtime?: readonly string[];
  /** Keys that are pressed as soon as the program has put the terminal into raw mode. */
  readonly keysInRawMode?: string;
}

/** A run on a pseudo-terminal. */
export interface TerminalRun {
  /** Resolves with everything that the terminal was sent, and the exit code. */
  readonly result: Promise<{ readonly code: number | null; readonly shown: string }>;
  /** Resolves when the terminal was sent what the pattern matches. */
  shows(pattern: RegExp): Promise<void>;
  /** Presses keys; `\u0003` is Ctrl-C. */
  press(keys: string): void;
}

/**
 * Whether tests on a pseudo-terminal can run. Where `CI` is set it is always true, so that a missing python3 fails them; elsewhere
 * it is said on standard error, and they are skipped.
 */
export function canOpenTerminal(): boolean {
  if (process.env["CI"] || spawnSync("python3", ["-c", "import pty"]).status === 0) return true;
  process.stderr.write("\nSKIPPED: tests on a pseudo-terminal. python3, which opens it, is not on the PATH\n\n");
  return false;
}

/** Starts the program on a pseudo-terminal. The exit code is 1 if it leaves the terminal in raw mode. */
export function runInTerminal(
  args: readonly string[],
  {
    env,
    columns,
    runtime = [process.execPath, "--disable-warning=ExperimentalWarning"],
    keysInRawMode = "",
  }: TerminalOptions,
): TerminalRun {
  const child = spawn("python3", ["-c", script, String(columns), keysInRawMode, ...runtime, entry, ...args], {
    env: { ...baseEnvironment, TERM: "xterm-256color", ...env },
    stdio: ["pipe", "pipe", "inherit"],
  });
  let shown = "";
  const listeners = new Set<() => void>();
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    shown += chunk;
    for (const listener of listeners) listener();
  });
  child.stdin.on("error", () => undefined);
  const result = ended(child).then((code) => ({ code, shown }));
  return {
    result,
    press: (keys) => void child.stdin.write(keys),
    shows: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(shown)) resolve();
        };
        listeners.add(look);
        void result.then(() => reject(new Error(`the program ended before it showed ${String(pattern)}:\n${shown}`)));
        look();
      }),
  };
}

async function ended(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, "close");
  return typeof code === "number" ? code : null;
}

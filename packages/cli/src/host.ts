/** Ports to the machine: arguments, streams, files and time. `adapters/node-host.ts` implements them. */
import type { McpServer } from "@modelcontextprotocol/server";

/** Everything that the program uses from its machine, so that the rest of it is plain code. */
export interface Host {
  readonly args: readonly string[];
  /** An environment variable. */
  variable(name: string): string | undefined;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** The text of a file. Rejects with an error whose `code` is the reason: the system's, or `EFBIG` if it is longer than `maxBytes`. */
  readFile(path: string, maxBytes: number): Promise<string>;
  readonly clock: Clock;
  newId(): string;
  /** Aborted when the user ends the program; the reason is the name of the signal. */
  readonly interrupted: AbortSignal;
  /** Calls `handle` for the next Ctrl-C instead of ending the program. Returns a function that removes the handler. */
  onInterrupt(handle: () => void): () => void;
  /**
   * Serves an MCP client on standard input and output. Resolves when the client closes its end, or when the user ends the program. `warn` receives a
   * text for each message that is refused or ignored. Rejects with a `CommandError` if a stream breaks.
   */
  serveMcp(createServer: () => McpServer, warn: (text: string) => void): Promise<void>;
}

/** Where a command writes. */
export interface Output {
  readonly isTerminal: boolean;
  /** The width of the terminal in cells; `null` if it is not a terminal. */
  columns(): number | null;
  /** Resolves with true once the text is written, and with false if the reader has gone away. Rejects with a `CommandError`. */
  write(text: string): Promise<boolean>;
}

/** Where a command reads a message. */
export interface Input {
  readonly isTerminal: boolean;
  /** Everything up to the end; `null` if it is longer than `maxBytes`. */
  read(maxBytes: number): Promise<Uint8Array | null>;
  /**
   * Reads the next line of a terminal. `ready` is called half a second later, to ask the question: keys that were pressed before, with or without
   * Enter, cannot be an answer to it, and are discarded. Resolves with `null` at the end of the input, or when the signal is aborted. Rejects
   * while another line is read, which is a defect: one line must not answer two questions.
   */
  readLine(ready: () => void, cancelled: AbortSignal): Promise<string | null>;
}

/** Time. */
export interface Clock {
  /** Epoch milliseconds, for times that are stored or shown. */
  now(): number;
  /** Milliseconds that never go back, for durations. */
  monotonic(): number;
  /** Calls `run` after `delayMs` milliseconds, and returns a function that cancels it. */
  setTimer(delayMs: number, run: () => void): () => void;
}

/** Resolves after a time, in milliseconds, or when the signal aborts. It never rejects. */
export function pause(clock: Pick<Clock, "setTimer">, signal: AbortSignal, delayMs: number): Promise<void> {
  if (delayMs <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = clock.setTimer(delayMs, finish);
    signal.addEventListener("abort", finish);
  });
}

import type { Clock } from "./clock.ts";

/** Where a command writes. */
export interface Output {
  readonly isTerminal: boolean;
  /** Width of the terminal in cells; `null` where there is none. */
  columns(): number | null;
  /** Resolves when the text is on its way, with false when nobody reads any more. Rejects with a `CommandError`. */
  write(text: string): Promise<boolean>;
}

/** Where a command reads a message. */
export interface Input {
  readonly isTerminal: boolean;
  /** Everything up to the end; `null` when it is longer than `maxBytes`. */
  read(maxBytes: number): Promise<Uint8Array | null>;
}

/** Everything that the program uses of the machine it runs on. */
export interface Host {
  readonly args: readonly string[];
  variable(name: string): string | undefined;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** The text of a file of at most `maxBytes`. Rejects with the system's error, whose `code` tells why. */
  readFile(path: string, maxBytes: number): Promise<string>;
  readonly clock: Clock;
  newId(): string;
  /** Aborted, with the name of the signal as its reason, when the user ends the program. */
  readonly interrupted: AbortSignal;
}

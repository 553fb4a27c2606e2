import type { ParsedCommand } from "../command-line/parse-command-line.ts";
import type { EnvironmentOperations } from "../environment-operations.ts";
import type { Paint } from "../format/style.ts";
import type { Host } from "../host.ts";

/** What a command works with. */
export interface CommandContext {
  readonly host: Host;
  readonly parsed: ParsedCommand;
  /** Colours of standard output. */
  readonly paint: Paint;
  /** Whether the result is read by a program: a pipe, a file, or `--json`. */
  readonly isJson: boolean;
  /** Value of an option; undefined when it is not given. */
  option(name: string): string | undefined;
  /** Reads address and key. Rejects with a `CommandError`. */
  connect(): Promise<EnvironmentOperations>;
}

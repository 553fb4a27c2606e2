import { type ExitCode, exitCodes } from "./exit-code.ts";

/** An end of a command that is no defect: what is printed after `letta-env: `, and the exit code. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  readonly exitCode: ExitCode;
  /** Lines that follow the message. */
  readonly details: readonly string[];

  constructor(exitCode: ExitCode, message: string, details: readonly string[] = []) {
    super(message);
    this.exitCode = exitCode;
    this.details = details;
  }
}

/** An error for a command line or an environment that breaks a rule. */
export function misuse(message: string, details: readonly string[] = []): CommandError {
  return new CommandError(exitCodes.misused, message, details);
}

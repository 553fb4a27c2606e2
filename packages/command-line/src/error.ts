/** A failure that a user can understand and act on. The program prints the message and the details, and ends with the exit code. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  readonly exitCode: number;
  /** Lines that follow the message. */
  readonly details: readonly string[];

  constructor(
    message: string,
    exitCode = 1,
    { details = [], ...options }: ErrorOptions & { readonly details?: readonly string[] } = {},
  ) {
    super(message, options);
    this.exitCode = exitCode;
    this.details = details;
  }
}

/** An error for a command line that breaks a rule; the exit code is 2. */
export function misuse(message: string, details: readonly string[] = []): CommandError {
  return new CommandError(message, 2, { details });
}

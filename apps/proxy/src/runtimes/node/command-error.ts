/** A command ends here. The text is for whoever ran it. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  /** 1: it failed; 2: the command line is wrong. */
  readonly exitCode: 1 | 2;

  constructor(message: string, exitCode: 1 | 2 = 1, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** An entry could not be stored. */
export class AuditUnavailableError extends Error {
  override readonly name = "AuditUnavailableError";

  constructor(cause: unknown) {
    super("the audit log cannot be written", { cause });
  }
}

/** The key store gave no answer; a later attempt may have one. Whether a change was made is unknown. The cause is for logs. */
export class KeyStoreUnavailableError extends Error {
  override readonly name = "KeyStoreUnavailableError";

  constructor(options?: ErrorOptions) {
    super("the key store gave no answer", options);
  }
}

/** What a Valkey or Redis server answered. */
export type ValkeyReply = null | string | number | readonly ValkeyReply[];

/** A connection to a Valkey or Redis server as a port. Keys of one script must be in one hash slot, so that it runs on a cluster. */
export interface ValkeyConnection {
  /**
   * Sends one command and resolves with its reply. Rejects with {@link ValkeyError} when the server refuses, is unreachable, or
   * `timeoutMs` has passed. Never queues while disconnected: it rejects at once. Only before the first connection stands does it
   * wait, for `timeoutMs` at most.
   */
  command(words: readonly (string | number)[], options?: { readonly timeoutMs?: number }): Promise<ValkeyReply>;
  /**
   * Runs a Lua script in one round trip: EVALSHA, and EVAL where the server does not have it yet or refuses EVALSHA. SCRIPT LOAD
   * is never used.
   */
  evaluate(
    script: string,
    keys: readonly string[],
    values: readonly (string | number)[],
    options?: { readonly timeoutMs?: number },
  ): Promise<ValkeyReply>;
  /** Ends the connection; what is under way is rejected, and so is everything later. */
  close(): Promise<void>;
}

/**
 * Why a command has no reply. `unreachable`: there is no connection, or it broke; the command may have been carried out.
 * `timeout`: no reply in time; it may be carried out yet. `refused`: the server answered with an error.
 */
export type ValkeyErrorCode = "unreachable" | "timeout" | "refused";

/** A command without a reply. Neither its text nor its cause holds a password or a value that was sent. */
export class ValkeyError extends Error {
  override readonly name = "ValkeyError";
  readonly code: ValkeyErrorCode;

  constructor(code: ValkeyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

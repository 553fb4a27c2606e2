/**
 * A connection to a Valkey or Redis server as a port, its errors, and the URLs that name a server. `./valkey` implements the
 * port with iovalkey.
 */

/** Reply of a Valkey or Redis server. */
export type ValkeyReply = null | string | number | readonly ValkeyReply[];

/** A connection to a Valkey or Redis server. All keys of a script must be in one hash slot, so that it runs on a cluster. */
export interface ValkeyConnection {
  /**
   * Sends one command and resolves with its reply. Rejects with {@link ValkeyError} when the server refuses it, cannot be reached,
   * or does not reply within `timeoutMs`. Before the first connection is established, and shortly after a connection was lost, it
   * waits for the next one, at most for `timeoutMs`; while the server stays unreachable it rejects immediately. A command that was
   * sent is never sent again.
   */
  command(words: readonly (string | number)[], options?: { readonly timeoutMs?: number }): Promise<ValkeyReply>;
  /**
   * Runs a Lua script in one round trip with EVALSHA. Falls back to EVAL when the server does not have the script yet or
   * does not allow EVALSHA. SCRIPT LOAD is never used.
   */
  evaluate(
    script: string,
    keys: readonly string[],
    values: readonly (string | number)[],
    options?: { readonly timeoutMs?: number },
  ): Promise<ValkeyReply>;
  /** Closes the connection. Pending and later commands are rejected. */
  close(): Promise<void>;
}

/** Options of a connection. */
export interface ValkeyOptions {
  /** Longest wait for a reply, in milliseconds, unless a command sets its own. */
  readonly timeoutMs: number;
  /** Called when there is no connection, once for each distinct reason in an outage. The cause contains no password. */
  readonly onFailure: (cause: unknown) => void;
}

/**
 * Why a command has no reply. `unreachable`: there is no connection, or it broke; the command may have run. `timeout`: no
 * reply in time; the command may still run. `refused`: the server returned an error.
 */
export type ValkeyErrorCode = "unreachable" | "timeout" | "refused";

/** Error of a command without a reply. Neither its message nor its cause contains a password or a sent value. */
export class ValkeyError extends Error {
  override readonly name = "ValkeyError";
  readonly code: ValkeyErrorCode;

  constructor(code: ValkeyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** Address and credentials of a Valkey or Redis server. */
export interface ValkeyAddress {
  readonly host: string;
  readonly port: number;
  readonly usesTls: boolean;
  readonly username: string | null;
  /** Never log or display it. */
  readonly password: string | null;
  readonly database: number;
  /** Host and port, safe to log. */
  readonly label: string;
}

const defaultPort = 6_379;

/**
 * Parses `valkey://user:password@host:port/database`, or with the schemes `valkeys:` (TLS), `redis:` and `rediss:` (TLS).
 * Returns `null` for anything else, including a URL with a query.
 */
export function parseValkeyUrl(text: string): ValkeyAddress | null {
  const url = URL.parse(text);
  if (url === null || !/^(?:valkey|redis)s?:$/.test(url.protocol) || url.hostname === "") return null;
  const database = /^\/?([0-9]{0,5})$/.exec(url.pathname)?.[1];
  const username = decode(url.username);
  const password = decode(url.password);
  if (database === undefined || username === null || password === null || url.search !== "" || url.hash !== "") {
    return null;
  }
  const port = url.port === "" ? defaultPort : Number(url.port);
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port,
    usesTls: url.protocol === "valkeys:" || url.protocol === "rediss:",
    username: username === "" ? null : username,
    password: password === "" ? null : password,
    database: Number(database),
    label: `${url.hostname}:${port}`,
  };
}

function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

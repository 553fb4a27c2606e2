/** Where a Valkey or Redis server is, and how to sign in. */
export interface ValkeyAddress {
  readonly host: string;
  readonly port: number;
  readonly usesTls: boolean;
  readonly username: string | null;
  /** Never shown. */
  readonly password: string | null;
  readonly database: number;
  /** Host and port, fit to be shown. */
  readonly label: string;
}

const defaultPort = 6_379;

/**
 * Reads `valkey://user:password@host:port/database`, and the same with `valkeys:` (TLS), `redis:` and `rediss:`; `null` for
 * anything else. A query is not understood and therefore refused.
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

/** Divides the files that a process may have open among its connections, so that no connection fails because another one took the last file. */

/** How many connections of each kind a process may have. */
export interface Capacity {
  /** To the upstream. */
  readonly upstream: number;
  /** Of callers and devices. Beyond it, new connections are refused. */
  readonly inbound: number;
}

/** Files that are left for everything else: databases, logs, credential files, connections to Valkey and to an issuer, name look-ups. */
const reservedFiles = 64;

/** The most connections to the upstream. */
const maxUpstream = 256;

/** Returns the capacity of a process with a limit of open files: a third of what is not reserved, at most 256, for the upstream. */
export function divideOpenFiles(limit: number): Capacity {
  const available = Math.max(8, limit - reservedFiles);
  const upstream = Math.max(2, Math.min(maxUpstream, Math.floor(available / 3)));
  return { upstream, inbound: available - upstream };
}

/**
 * How many files and sockets this process may have open. Each connection of a caller, of a device and to the upstream is one, so they are divided
 * among the connections: none fails because another one took the last file.
 */
import { readFileSync } from "node:fs";
import process from "node:process";

/** Assumed where the limit is not shown, as on Deno: the usual limit of a login shell. */
const assumedLimit = 1_024;

let known: number | null = null;

/** Returns the process's limit of open files. It is read once. */
export function openFileLimit(): number {
  known ??= parseLimit(readLimit()) ?? assumedLimit;
  return known;
}

function readLimit(): unknown {
  // Deno has no report, and would ask for permission to read the file.
  if (process.versions["deno"] !== undefined) return null;
  try {
    return /^Max open files +(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
  } catch {
    // Only Linux has the file, and a process may have no permission to read it.
  }
  try {
    // The report takes 6 ms, and more with the network interfaces.
    Object.assign(process.report, { excludeNetwork: true });
    const report = process.report.getReport() as {
      readonly userLimits?: { readonly open_files?: { readonly soft?: unknown } };
    };
    return report.userLimits?.open_files?.soft;
  } catch {
    return null;
  }
}

/** Reads a limit; `null` if it is not a number. */
export function parseLimit(value: unknown): number | null {
  if (value === "unlimited") return Number.MAX_SAFE_INTEGER;
  const limit = typeof value === "string" ? Number(value) : value;
  return typeof limit === "number" && Number.isSafeInteger(limit) && limit > 0 ? limit : null;
}

/** How many connections of each kind a process may have. */
interface Capacity {
  /** To the upstream. */
  readonly upstream: number;
  /** Of callers and devices. Beyond it, new connections are refused. */
  readonly inbound: number;
}

/** Files that are left for everything else: databases, logs, credential files, connections to Valkey and to an issuer, name look-ups. */
const reservedFiles = 64;

/** The most connections to the upstream. */
const maxUpstream = 256;

/**
 * Returns the capacity of this process: a third of the files that are not reserved, at most 256, for the upstream.
 *
 * @param maxOpenFiles the limit of open files; `null`: the process's own
 */
export function connectionCapacity(maxOpenFiles: number | null): Capacity {
  const available = Math.max(8, (maxOpenFiles ?? openFileLimit()) - reservedFiles);
  const upstream = Math.max(2, Math.min(maxUpstream, Math.floor(available / 3)));
  return { upstream, inbound: available - upstream };
}

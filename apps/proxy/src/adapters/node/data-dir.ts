/** The data directory: access for its owner alone, and the databases in it. */
import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { CommandError } from "@letta-environments/command-line";
import { isSqliteBusy, isSqliteDiskFailure, type SqliteFile } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/sqlite";
import { dataFiles } from "../../backup/manifest.ts";

/** The databases in the data directory. */
export const keysFile = "proxy.sqlite";
export const environmentsFile = "environments.sqlite";
export const auditFile = "audit.sqlite";
export const limitsFile = "limits.sqlite";

/** The most attempts to open a database, and the pause between two of them, in milliseconds. */
const maxAttempts = 100;
const pauseMs = 50;

/**
 * Opens a database in the data directory. Creates the directory if it does not exist.
 *
 * @throws CommandError if the directory or the file cannot be used
 */
export async function openDatabase(dataDir: string, name: string): Promise<SqliteFile> {
  const path = join(dataDir, name);
  for (let attempt = 1; ; attempt++) {
    makeDataDir(dataDir);
    try {
      return openSqlite(path);
    } catch (cause) {
      if (attempt < maxAttempts && isSqliteBusy(cause)) {
        // When two processes create a file at the same time, SQLite refuses the second one without waiting.
        await delay(pauseMs);
        continue;
      }
      throw cannotOpen(path, cause);
    }
  }
}

/** Returns the error for a database of the data directory that cannot be used. */
export function cannotOpen(path: string, cause: unknown): CommandError {
  // SQLite does not say why it cannot open a database, or which of its three files it could not open.
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    const reason = findAccessFailure(file);
    if (reason !== null) return new CommandError(`${file} cannot be opened: ${reason}`, 1, { cause });
  }
  return new CommandError(`${path} cannot be opened: ${describeUnusable(cause, dirname(path))}`, 1, { cause });
}

/** Why the system stores no data, by error code. */
const diskFailures: Readonly<Record<string, string>> = {
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EMFILE: "this process may open no more files; see ulimit -n",
  ENFILE: "the system has too many open files",
};

/**
 * Says why a file of SQLite cannot be used. SQLite gives the same reason for a full disk, a read-only file system and a process without free file
 * descriptors, so this writes a file beside it to find out.
 */
export function describeUnusable(cause: unknown, folder: string, write: (folder: string) => void = writeProbe): string {
  try {
    if (isSqliteDiskFailure(cause)) write(folder);
  } catch (failure) {
    const reason = diskFailures[errorCode(failure) ?? ""];
    if (reason !== undefined) return reason;
  }
  return cause instanceof Error ? cause.message : String(cause);
}

/** Needs about as much as SQLite, which opens a file, two more and their directory, and writes a first transaction. */
function writeProbe(folder: string): void {
  const path = join(folder, `.letta-proxy-${process.pid}`);
  const files: number[] = [];
  try {
    while (files.length < 4) files.push(openSync(path, "w", 0o600));
    writeFileSync(path, new Uint8Array(65_536));
  } finally {
    for (const file of files) closeSync(file);
    rmSync(path, { force: true });
  }
}

/** Finds out why this user cannot change a file. It is not opened, because closing it again would release SQLite's locks. */
function findAccessFailure(path: string): string | null {
  try {
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) return accessFailures["EISDIR"] ?? null;
    accessSync(path, constants.R_OK | constants.W_OK);
    return null;
  } catch (cause) {
    return describeAccess(cause);
  }
}

const accessFailures: Readonly<Record<string, string>> = {
  EACCES: "this user is not allowed to",
  EPERM: "this user is not allowed to",
  EISDIR: "this is a directory",
  ...diskFailures,
};

/** Returns the code of an error of the system, such as `ENOENT`; `null` if it has none. */
export function errorCode(cause: unknown): string | null {
  return cause instanceof Error && "code" in cause && typeof cause.code === "string" ? cause.code : null;
}

/** Says in words why the system refuses this user a file; `null` for other failures. */
export function describeAccess(cause: unknown): string | null {
  return accessFailures[errorCode(cause) ?? ""] ?? null;
}

/**
 * Creates the data directory if it does not exist, and restricts it to its owner.
 *
 * @throws CommandError if it cannot be used
 */
export function makeDataDir(dataDir: string): void {
  try {
    createDirectory(resolve(dataDir), resolve(dataDir));
    restrictToOwner(dataDir, 0o700);
  } catch (cause) {
    throw unusable(dataDir, cause);
  }
}

/**
 * Checks what {@link makeDataDir} would need. It creates and removes a directory in the deepest part of the path that exists, because only that
 * shows whether the system allows it.
 *
 * @throws CommandError if the data directory cannot be used
 */
export function checkDataDir(dataDir: string): void {
  try {
    let path = resolve(dataDir);
    while (!isDirectory(path, resolve(dataDir))) path = dirname(path);
    // Sets the same mode again, because only the owner can do so.
    if (path === resolve(dataDir)) restrictToOwner(path, assertPrivate(path) & 0o7777);
    rmdirSync(mkdtempSync(join(path, ".letta-proxy-")));
  } catch (cause) {
    throw unusable(dataDir, cause);
  }
}

/**
 * Whether a gateway or a command has stored something in the data directory. Creates nothing.
 *
 * @throws CommandError if this user cannot look into it, or it is a file
 */
export function hasGatewayData(dataDir: string): boolean {
  try {
    const path = resolve(dataDir);
    return isDirectory(path, path) && dataFiles.some((name) => exists(join(path, name)));
  } catch (cause) {
    throw unusable(dataDir, cause);
  }
}

/**
 * Refuses a directory without data, before a command that needs the data would create it: its name is mistyped, or the command runs in a
 * different folder than the gateway.
 *
 * @throws CommandError that names the directory, if there is no data of a gateway
 */
export function assertGatewayData(dataDir: string): void {
  if (hasGatewayData(dataDir)) return;
  const path = resolve(dataDir);
  const problem = exists(path) ? "this directory has no gateway data" : "this directory does not exist";
  throw new CommandError(
    `--data-dir ${path}: ${problem}; pass the gateway's directory (--data-dir or DATA_DIR), or make a new one with 'letta-proxy start'`,
  );
}

/** Unlike `existsSync`, this throws if the user lacks the permission to look. */
function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function unusable(dataDir: string, cause: unknown): CommandError {
  return new CommandError(`the data directory ${dataDir}: ${reasonOf(cause)}`, 1, { cause });
}

/** Whether a part of the requested path exists. Throws if it is a file, or a link to nothing. */
function isDirectory(path: string, requested: string): boolean {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true) return true;
  if (stats !== undefined)
    throw new Error(path === requested ? "this is a file; pass a directory" : `${path} is a file`);
  if (isLink(path))
    throw new Error(`${path === requested ? "this" : path} is a link to a directory that does not exist`);
  return false;
}

function isLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    // There is nothing, or a part of the path is a file.
    return false;
  }
}

/** Creates a directory and its parents. A recursive `mkdirSync` never returns where the system refuses new directories, as in /proc. */
function createDirectory(path: string, requested: string): void {
  if (isDirectory(path, requested)) return;
  createDirectory(dirname(path), requested);
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (cause) {
    // Another process may have created it at the same time.
    if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) throw cause;
  }
}

/** Changes the mode of a directory that others can access. Refuses one that everybody can write to. */
function restrictToOwner(dataDir: string, mode: number): void {
  if ((assertPrivate(dataDir) & 0o077) !== 0) chmodSync(dataDir, mode);
}

/** Returns the mode of a directory. Throws if everybody can write to it. */
function assertPrivate(dataDir: string): number {
  const { mode } = statSync(dataDir);
  if ((mode & 0o002) !== 0) throw new Error("every user can write to the data directory; use a private one");
  return mode;
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "this user is not allowed to create or use it",
  EPERM: "this user is not allowed to create or use it",
  ...diskFailures,
  ENOENT: "the system does not allow new directories there",
};

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return reasons[errorCode(cause) ?? ""] ?? cause.message;
}

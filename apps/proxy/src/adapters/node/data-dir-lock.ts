/**
 * The lock on a data directory: a gateway with the embedded environment server holds it while it runs. The file `gateway.url` beside it contains the
 * URL of that gateway for commands, and whether it serves the web console. A killed gateway leaves the file behind, so it counts only while the lock
 * is held.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import { isSqliteBusy, type SqliteDatabase } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/sqlite";
import { cannotOpen, openDatabase } from "./data-dir.ts";

const lockFile = "gateway.lock";
const urlFile = "gateway.url";

/** How long the lock waits for another process that is about to end, in milliseconds. */
const waitMs = 200;

/** Whether a gateway serves the web console, or would if its files were there. */
export type ConsoleState = "served" | "not_built" | "off";

/** A running gateway, as it describes itself to commands. */
export interface RunningGateway {
  /** Where it is reached. */
  readonly url: string;
  readonly console: ConsoleState;
}

/** The lock on a data directory. The system releases it when the process ends. */
export interface DataDirLock {
  /** Describes the gateway to commands, until the lock is released. */
  announce(gateway: RunningGateway): void;
  release(): void;
}

/**
 * Locks the data directory for the embedded environment server, because the environments and sockets of two servers would
 * contradict each other. It is SQLite's lock on a separate file, so that the system releases it however the process ends.
 *
 * @throws CommandError if another process has the lock
 */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  const database = await openDatabase(dataDir, lockFile);
  const path = join(dataDir, urlFile);
  try {
    lock(database, waitMs);
    // The file of a killed gateway would be taken for that of this one.
    rmSync(path, { force: true });
  } catch (cause) {
    database.close();
    if (!isSqliteBusy(cause)) throw cannotOpen(join(dataDir, lockFile), cause);
    throw new CommandError(
      `another gateway is running with the data directory ${dataDir}: stop it, or choose another directory with --data-dir`,
      1,
      { cause },
    );
  }
  return {
    announce({ url, console }) {
      rmSync(path, { force: true });
      writeFileSync(path, `${url}\nconsole: ${console}\n`, { flag: "wx", mode: 0o600 });
    },
    release() {
      try {
        // While the lock is held: later the file could be that of another gateway.
        rmSync(path, { force: true });
      } finally {
        database.close();
      }
    },
  };
}

/** Returns the running gateway of a data directory; `null` if none is known. Creates nothing. */
export function readRunningGateway(dataDir: string): RunningGateway | null {
  try {
    const [url = "", console = ""] = readFileSync(join(dataDir, urlFile), "utf8").split("\n");
    if (!/^https?:/.test(url) || !URL.canParse(url) || !isLocked(dataDir)) return null;
    const state = (["off", "not_built"] as const).find((name) => console === `console: ${name}`);
    return { url, console: state ?? "served" };
  } catch {
    // If the file is missing or this user may not read it, the settings say more.
    return null;
  }
}

/** Whether a gateway with the embedded environment server runs with the data directory. Creates nothing. */
export function isLocked(dataDir: string): boolean {
  const path = join(dataDir, lockFile);
  if (!existsSync(path)) return false;
  const database = openSqlite(path);
  try {
    lock(database, 0);
    return false;
  } catch (cause) {
    return isSqliteBusy(cause);
  } finally {
    // This also releases the lock. A gateway that starts meanwhile waits for it.
    database.close();
  }
}

function lock(database: SqliteDatabase, timeoutMs: number): void {
  database.exec(`PRAGMA busy_timeout = ${timeoutMs}`);
  database.exec("BEGIN EXCLUSIVE");
}

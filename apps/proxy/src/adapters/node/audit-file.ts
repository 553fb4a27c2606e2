/** Safe use of a SQLite file that other processes may lock, move or replace. Its tables are in `adapters/sqlite/`. */
import { statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { createSqliteRetry } from "@letta-environments/platform";

/** How long calls wait while another process holds the file, in milliseconds. */
const maxWaitMs = 5_000;

/** Runs a function that uses a SQLite file, retrying while another process holds the file. */
export type FileGuard = <Result>(run: () => Result | Promise<Result>) => Promise<Result>;

/**
 * Returns a guard of the file at a path. It rejects when the file was moved or replaced after it was opened, because anything
 * written to it would be lost. It waits for a file that another process has locked, without blocking the event loop. The connection
 * needs a short `busy_timeout` for that.
 *
 * @param monotonic returns milliseconds that never go back
 */
export function createFileGuard(path: string, monotonic: () => number): FileGuard {
  const opened = identityOf(path);
  const retry = createSqliteRetry({ monotonic, pause: (durationMs) => delay(durationMs) }, maxWaitMs);
  return (run) =>
    retry.write(() => {
      if (identityOf(path) !== opened) throw new Error(`${path} is not the file that was opened`);
      return run();
    });
}

function identityOf(path: string): string | null {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.dev}:${stats.ino}`;
}

/** The checks of the data directory for `/readyz`: whether the disk takes data, and whether a database file is still the one that was opened. */
import { open, rm, stat } from "node:fs/promises";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { writeAll } from "./whole-files.ts";

/** Content of the probe file. It is larger than a typical transaction. */
const probe: Uint8Array = new Uint8Array(65_536);
const fileHeader = "SQLite format 3\0";

/**
 * Returns a check that writes a file of 64 KiB in the data directory, flushes it to the disk and removes it. It rejects when the disk is
 * full, read-only or gone. The file is new each time, because overwriting one needs no space.
 */
export function createDiskCheck(dataDir: string): () => Promise<void> {
  const path = join(dataDir, ".readiness");
  return async () => {
    try {
      const file = await open(path, "w", 0o600);
      try {
        await writeAll(file, probe);
        await file.datasync();
      } finally {
        await file.close();
      }
    } finally {
      await rm(path, { force: true });
    }
  };
}

export interface FileCheck {
  run(): Promise<void>;
  /** Closes the file. Call it once SQLite has closed the file too. */
  close(): void;
}

/**
 * Creates a check of a database file that SQLite has open: the path still names the same file, and the file starts like a SQLite database.
 * It reads 16 bytes and takes no lock, so it never waits for another process.
 *
 * The file stays open for all checks. Closing it would release the locks of SQLite in this process (POSIX advisory locks end with any close of
 * the file). Before version 3.51, another process that closes the database then removes its log, and with it everything that this process
 * writes afterwards.
 */
export function createDatabaseFileCheck(path: string): FileCheck {
  const file = openSync(path, "r");
  const { dev, ino } = fstatSync(file);
  return {
    async run() {
      const now = await stat(path);
      if (now.dev !== dev || now.ino !== ino) throw new Error(`${path} is not the file that was opened`);
      const start = new Uint8Array(fileHeader.length);
      const length = readSync(file, start, 0, start.length, 0);
      if (new TextDecoder("latin1").decode(start.subarray(0, length)) !== fileHeader) {
        throw new Error(`${path} is no longer a SQLite database`);
      }
    },
    close: () => closeSync(file),
  };
}

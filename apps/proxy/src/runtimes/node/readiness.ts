/** The resources that `/readyz` checks on Node, Bun and Deno: the disk, the keys, the audit log, and locally stored devices and limits. */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log-event.ts";
import { auditFile, environmentsFile, keysFile, limitsFile } from "../../adapters/node/data-dir.ts";
import { writeAll } from "../../adapters/node/whole-files.ts";
import type { Settings } from "../../config/settings.ts";
import {
  createReadiness,
  type ReadinessChange,
  type ReadinessCheck,
  type ReadReadiness,
} from "../../host/readiness.ts";
import { createPepperCheck } from "../../keys/pepper.ts";
import type { EmbeddedServer, KeyStore, Pepper } from "../../ports.ts";

/** Composes the checks over open resources. Keys in Valkey are looked up there; the upstream is never called. */
export function composeReadiness(
  { dataDir, valkeyUrl, rateLimits }: Pick<Settings, "dataDir" | "valkeyUrl" | "rateLimits">,
  { keyStore, embedded }: { readonly keyStore: KeyStore; readonly embedded: EmbeddedServer | null },
  log: (event: LogEvent) => void,
) {
  const files: FileCheck[] = [];
  const checkFile = (name: string): (() => Promise<void>) => {
    const file = createDatabaseFileCheck(join(dataDir, name));
    files.push(file);
    return file.run;
  };
  const keyFiles = valkeyUrl === null ? [checkFile(keysFile)] : [];
  const checks: ReadinessCheck[] = [
    { name: "disk", run: createDiskCheck(dataDir) },
    check("keys", ...keyFiles, () => keyStore.find(unknownId)),
    check("audit", checkFile(auditFile)),
    ...(embedded === null
      ? []
      : [check("devices", checkFile(environmentsFile), () => embedded.findConnection(unknownId, unknownId))]),
    ...(rateLimits.store === "sqlite" ? [check("limits", checkFile(limitsFile))] : []),
  ];
  return {
    read: createReadiness(systemClock, checks, logChanges(log)),
    /** Closes the files that are checked. Call it once the databases are closed. */
    close(): void {
      for (const file of files.splice(0)) file.close();
    },
  };
}

/**
 * Composes the check of a gateway without a disk: its keys in Valkey are looked up, and compared with its pepper. Without Valkey there is
 * nothing to check.
 */
export function composeKeyReadiness(
  { valkeyUrl }: Pick<Settings, "valkeyUrl">,
  { keyStore, pepper }: { readonly keyStore: KeyStore; readonly pepper: Pepper },
  log: (event: LogEvent) => void,
): ReadReadiness {
  const checks =
    valkeyUrl === null
      ? []
      : [check("keys", () => keyStore.find(unknownId), createPepperCheck(keyStore, pepper, systemClock))];
  return createReadiness(systemClock, checks, logChanges(log));
}

function logChanges(log: (event: LogEvent) => void): (change: ReadinessChange) => void {
  return ({ name, isReady, cause }) =>
    log(isReady ? { type: "readiness_recovered", check: name } : { type: "readiness_failed", check: name, cause });
}

/** An id that does not exist: looking it up exercises the store. */
const unknownId = "readiness";

function check(name: string, ...parts: readonly (() => Promise<unknown>)[]): ReadinessCheck {
  return {
    name,
    async run() {
      for (const part of parts) await part();
    },
  };
}

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

interface FileCheck {
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

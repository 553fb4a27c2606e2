/** The resources that `/readyz` checks on Node, Bun and Deno: the disk, the keys, the audit log, and locally stored devices and limits. */
import { join } from "node:path";
import { systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log-event.ts";
import { auditFile, environmentsFile, keysFile, limitsFile } from "../../adapters/node/data-dir.ts";
import { createDatabaseFileCheck, createDiskCheck, type FileCheck } from "../../adapters/node/readiness-checks.ts";
import type { Settings } from "../../config/settings.ts";
import {
  createReadiness,
  type ReadinessChange,
  type ReadinessCheck,
  type ReadReadiness,
} from "../../host/readiness.ts";
import type { EmbeddedServer, KeyStore, Pepper } from "../../ports.ts";
import { createPepperCheck } from "../../keys/pepper.ts";

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

/** The commands `backup` and `restore`: one file with every database of a data directory, made while the gateway runs. */
import { existsSync, renameSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { CommandError, printableLines } from "@letta-environments/command-line";
import type { SqliteDatabase, SqliteFile } from "@letta-environments/platform";
import { systemClock } from "@letta-environments/platform/node";
import { openSqlite } from "@letta-environments/platform/sqlite";
import {
  assertNameIsFree,
  describeFile,
  extractArchive,
  failed,
  failWith,
  isEmptyFolder,
  moveFiles,
  withPrivateFolder,
  writeArchive,
} from "../../../adapters/node/backup-archive.ts";
import { assertGatewayData, auditFile, keysFile, openDatabase } from "../../../adapters/node/data-dir.ts";
import { OlderTablesError, openStore } from "../../../adapters/node/open-store.ts";
import { describeWrongPepper, hasPepper, loadPepper } from "../../../adapters/node/pepper.ts";
import { createSqliteAuditStore, readPeppersOfSeals } from "../../../adapters/sqlite/audit-store.ts";
import { readPeppersOfKeys } from "../../../adapters/sqlite/key-store.ts";
import { verifyAudit } from "../../../audit/verify.ts";
import { type BackedUpFile, databaseNames, manifestFormat, pepperName } from "../../../backup/manifest.ts";
import type { Settings } from "../../../config/settings.ts";
import type { Pepper } from "../../../ports.ts";
import { version } from "../../../version.ts";
import { sealingOf } from "../audit.ts";
import { type CommandContext, print } from "./context.ts";

/** `backup FILE`: takes a consistent copy of each database, and puts the copies into one archive. */
export async function backupCommand(context: CommandContext): Promise<void> {
  const settings = context.settings();
  const { dataDir, valkeyUrl } = settings;
  const path = resolve(context.parsed.operands[0] ?? "");
  assertGatewayData(dataDir);
  await assertNameIsFree(path);
  const present = databaseNames.filter((name) => existsSync(join(dataDir, name)));
  if (present.length === 0) throw new CommandError(`--data-dir ${dataDir}: there is nothing to back up`);
  const withPepper = context.parsed.options.has("with-pepper");
  if (withPepper) assertPepperFile(settings);
  const pepper = peekPepper(settings);
  if (pepper !== null) await assertPepperFits(pepper, settings, present);

  const files = await withPrivateFolder(dirname(path), path, async (folder) => {
    for (const name of present) await copyDatabase(dataDir, name, folder);
    if (withPepper) await copyPepper(dataDir, folder);
    const described: BackedUpFile[] = [];
    for (const name of [...present, ...(withPepper ? [pepperName] : [])])
      described.push(await describeFile(folder, name));
    const manifest = {
      format: manifestFormat,
      version,
      createdAt: systemClock.now(),
      pepperId: pepper?.id ?? null,
      files: described,
    } as const;
    await writeArchive(path, folder, manifest);
    return described;
  });
  const notes = [
    withPepper
      ? "It contains the pepper: anyone with the file can create keys."
      : "It does not contain the pepper. No key can be verified without it, so keep a copy elsewhere.",
    ...(valkeyUrl === null ? [] : ["The keys are in Valkey, not in this file."]),
  ];
  print(printableLines([`Wrote ${path}: ${files.map(({ name }) => name).join(", ")}.`, ...notes, ""].join("\n")));
}

/** Copies a database while others use it. The copy is complete in one file. */
function copyDatabase(dataDir: string, name: string, folder: string): Promise<void> {
  return useDatabase(dataDir, name, "copied", (database) => database.copyTo(join(folder, name)));
}

async function useDatabase<Result>(
  dataDir: string,
  name: string,
  done: "copied" | "read",
  use: (database: SqliteFile) => Result,
): Promise<Result> {
  const database = await openDatabase(dataDir, name);
  try {
    return use(database);
  } catch (cause) {
    throw failed(`${join(dataDir, name)} cannot be ${done}`, cause);
  } finally {
    database.close();
  }
}

async function copyPepper(dataDir: string, folder: string): Promise<void> {
  const path = join(dataDir, pepperName);
  await copyFile(path, join(folder, pepperName)).catch(failWith(`${path} cannot be copied`));
}

function assertPepperFile({ dataDir, keyPepper }: Settings): void {
  if (keyPepper !== null) {
    throw new CommandError(
      "--with-pepper: the pepper is in KEY_PEPPER, which no backup contains; keep a copy of the variable",
    );
  }
  if (!existsSync(join(dataDir, pepperName))) {
    throw new CommandError(`--with-pepper: ${join(dataDir, pepperName)} does not exist`);
  }
}

/** A restore compares the pepper with the one that the archive names, so a backup must not contain another one. */
async function assertPepperFits(
  { id }: Pepper,
  { dataDir, keyPepper, valkeyUrl }: Settings,
  present: readonly string[],
): Promise<void> {
  const read = async (name: string, readIds: (database: SqliteDatabase) => ReadonlySet<string>) =>
    present.includes(name) ? useDatabase(dataDir, name, "read", readIds) : new Set<string>();
  const refuse = (belonging: string): never => {
    throw new CommandError(describeWrongPepper(dataDir, keyPepper, belonging));
  };
  const ofKeys = valkeyUrl === null ? await read(keysFile, readPeppersOfKeys) : new Set<string>();
  if (ofKeys.size > 0) {
    if (!ofKeys.has(id)) refuse("the keys in the data directory");
    return;
  }
  const ofSeals = await read(auditFile, readPeppersOfSeals);
  if (ofSeals.size > 0 && !ofSeals.has(id)) refuse("the records of the audit log");
}

/** Returns the pepper, if there is one. It is never created here. */
function peekPepper({ dataDir, keyPepper }: Pick<Settings, "dataDir" | "keyPepper">): Pepper | null {
  return hasPepper(dataDir, keyPepper) ? loadPepper(dataDir, keyPepper, true) : null;
}

/** `restore FILE`: checks the whole archive next to the data directory, and then puts the directory into place. */
export async function restoreCommand(context: CommandContext): Promise<void> {
  const { dataDir, keyPepper } = context.settings();
  const path = context.parsed.operands[0] ?? "";
  const target = resolve(dataDir);
  // An existing directory may be a mount point, which cannot be replaced.
  const isThere = await isEmptyFolder(target, "--data-dir");
  if (!isThere) await mkdir(dirname(target), { recursive: true }).catch(() => undefined);
  const place = isThere ? target : dirname(target);
  const { manifest, notes } = await withPrivateFolder(place, "--data-dir", async (folder) => {
    const extracted = await extractArchive(path, folder);
    const names = extracted.files.map(({ name }) => name);
    for (const name of names) if (name !== pepperName) checkDatabase(folder, name, path);
    const pepper = peekPepper({ dataDir: folder, keyPepper });
    if (pepper !== null && extracted.pepperId !== null && pepper.id !== extracted.pepperId) {
      throw new CommandError("KEY_PEPPER is not the pepper of this backup; set the one of the gateway that wrote it");
    }
    const state = pepper === null || !names.includes(auditFile) ? null : await describeAudit(folder, pepper);
    const isPepperMissing = pepper === null && extracted.pepperId !== null;
    try {
      // Synchronous, so that no signal can remove files that are already in place.
      if (isThere) moveFiles(folder, names, target);
      else renameSync(folder, target);
    } catch (cause) {
      throw failed(`--data-dir ${dataDir} cannot be filled`, cause);
    }
    return {
      manifest: extracted,
      notes: [
        ...(state === null ? [] : [state]),
        ...(isPepperMissing
          ? [`Before you start: put the pepper into ${join(dataDir, pepperName)}, or set KEY_PEPPER.`]
          : []),
      ],
    };
  });
  const names = manifest.files.map(({ name }) => name).join(", ");
  const when = new Date(manifest.createdAt).toISOString();
  print(printableLines([`Restored ${dataDir} as it was at ${when}: ${names}.`, ...notes, ""].join("\n")));
}

function checkDatabase(folder: string, name: string, path: string): void {
  let database: SqliteDatabase | null = null;
  try {
    database = openSqlite(join(folder, name));
    const result = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
    if (result !== "ok") throw new Error("the check of SQLite fails");
  } catch (cause) {
    throw failed(`${path}: ${name} cannot be used`, cause);
  } finally {
    database?.close();
  }
}

/** Verifies the restored log. A damaged log is restored too, because it was damaged before. */
async function describeAudit(folder: string, pepper: Pepper): Promise<string> {
  const opened = await openStore(folder, auditFile, createSqliteAuditStore, { migrates: false }).catch(
    (cause: unknown) => {
      if (cause instanceof CommandError && cause.cause instanceof OlderTablesError) return null;
      throw cause;
    },
  );
  if (opened === null) return "The audit log was not verified: its tables have an older version.";
  const { store, database } = opened;
  try {
    const { intact, records } = await store.snapshot((snapshot) => verifyAudit(snapshot, sealingOf(pepper)));
    return intact
      ? `The audit log is intact: ${records} records.`
      : "The audit log is NOT intact, and was not when it was backed up: 'letta-proxy audit verify' says why.";
  } finally {
    database.close();
  }
}

/**
 * Backups as files. An archive gets its name when it is complete. Extraction compares every byte with the manifest. Large databases are copied
 * in pieces.
 */
import { createHash, randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { type FileHandle, lstat, mkdtemp, open, readdir } from "node:fs/promises";
import { constants } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { CommandError } from "@letta-environments/command-line";
import {
  type BackedUpFile,
  type BackupManifest,
  formatManifest,
  manifestName,
  maxManifestBytes,
  parseManifest,
} from "../../backup/manifest.ts";
import { describeAccess, errorCode } from "./data-dir.ts";
import { blockBytes, maxFileBytes, paddingOf, readTarHeader, type TarEntry, tarHeader } from "../../backup/tar.ts";
import { moveFile, writeAll } from "./whole-files.ts";

const pieceBytes = 1_048_576;

/** Signals that end a command. */
const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs work with a private directory in `place`, and removes the directory afterwards. A signal that ends the process removes it too, because nobody
 * would look for copies of the databases or the pepper there.
 *
 * @throws CommandError if it cannot be created
 */
export async function withPrivateFolder<Result>(
  place: string,
  setting: string,
  run: (folder: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(place, ".letta-proxy-")).catch(failWith(`${setting}: cannot write in ${place}`));
  const stop = (signal: (typeof endSignals)[number]): void => {
    // A write in progress may add one more file.
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    process.exit(128 + constants.signals[signal]);
  };
  for (const signal of endSignals) process.once(signal, stop);
  try {
    return await run(folder);
  } finally {
    // Synchronous: a signal that is handled from here on comes after the end.
    rmSync(folder, { recursive: true, force: true });
    for (const signal of endSignals) process.off(signal, stop);
  }
}

/**
 * Measures a file of a folder.
 *
 * @throws CommandError if it cannot be read, or is too large for an archive
 */
export async function describeFile(folder: string, name: string): Promise<BackedUpFile> {
  const hash = createHash("sha256");
  const cannotRead = failWith(`the copy of ${name} cannot be read`);
  const file = await open(join(folder, name), "r").catch(cannotRead);
  try {
    let bytes = 0;
    for await (const piece of pieces(file, Number.POSITIVE_INFINITY)) {
      hash.update(piece);
      bytes += piece.byteLength;
    }
    if (bytes > maxFileBytes) throw new CommandError(`${name} is larger than 8 GiB, which an archive cannot contain`);
    return { name, bytes, sha256: hash.digest("hex") };
  } catch (cause) {
    return cannotRead(cause);
  } finally {
    await file.close();
  }
}

/**
 * Checks that the name of an archive is free, before anything is copied for it.
 *
 * @throws CommandError if a file of that name exists
 */
export async function assertNameIsFree(path: string): Promise<void> {
  if ((await lstat(path).catch(() => null)) !== null) throw nameIsTaken(path);
}

function nameIsTaken(path: string, options?: ErrorOptions): CommandError {
  return new CommandError(`${path} exists already; choose another name`, 1, options);
}

/**
 * Writes an archive with the files of a folder. Its mode is 0600, and it appears under its name when it is complete.
 *
 * @throws CommandError if a file of that name exists, or the disk cannot take it
 */
export async function writeArchive(path: string, folder: string, manifest: BackupManifest): Promise<void> {
  const draft = join(folder, randomBytes(8).toString("hex"));
  try {
    const archive = await open(draft, "wx", 0o600);
    try {
      const seconds = Math.floor(manifest.createdAt / 1_000);
      const text = Buffer.from(formatManifest(manifest));
      await writeEntry(archive, { name: manifestName, bytes: text.byteLength }, seconds, [text]);
      for (const entry of manifest.files) {
        const source = await open(join(folder, entry.name), "r");
        try {
          await writeEntry(archive, entry, seconds, pieces(source, entry.bytes));
        } finally {
          await source.close();
        }
      }
      await writeAll(archive, new Uint8Array(2 * blockBytes));
      await archive.sync();
    } finally {
      await archive.close();
    }
    moveFile(draft, path);
  } catch (cause) {
    if (errorCode(cause) === "EEXIST") throw nameIsTaken(path, { cause });
    throw failed(`${path} cannot be written`, cause);
  }
}

async function writeEntry(
  archive: FileHandle,
  entry: TarEntry,
  modifiedAt: number,
  content: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  await writeAll(archive, tarHeader(entry, modifiedAt));
  let written = 0;
  for await (const piece of content) {
    await writeAll(archive, piece);
    written += piece.byteLength;
  }
  if (written !== entry.bytes) throw new Error(`${entry.name} changed while it was copied`);
  await writeAll(archive, new Uint8Array(paddingOf(entry.bytes)));
}

/**
 * Extracts an archive into a folder, and resolves with its manifest once every file was compared with it.
 *
 * @throws CommandError if the archive cannot be read, or is not a complete, unchanged backup
 */
export async function extractArchive(path: string, folder: string): Promise<BackupManifest> {
  const archive = await open(path, "r").catch(failWith(`${path} cannot be read`));
  try {
    const manifest = await readManifest(archive, path);
    for (const entry of manifest.files) await extractFile(archive, path, folder, entry);
    if (readTarHeader(await readBlock(archive)) !== "end") throw damaged(path);
    return manifest;
  } catch (cause) {
    // A directory can be opened like a file, and fails when it is read.
    throw failed(`${path} cannot be read`, cause);
  } finally {
    await archive.close();
  }
}

async function readManifest(archive: FileHandle, path: string): Promise<BackupManifest> {
  const header = readTarHeader(await readBlock(archive));
  if (header === null || header === "end" || header.name !== manifestName || header.bytes > maxManifestBytes) {
    throw new CommandError(`${path} is not a backup of letta-proxy`);
  }
  let text = "";
  for await (const piece of pieces(archive, header.bytes)) text += Buffer.from(piece).toString("utf8");
  await skip(archive, paddingOf(header.bytes));
  const parsed = parseManifest(text);
  if (parsed.kind === "newer") throw new CommandError(`${path} was written by a newer letta-proxy; use that version`);
  if (parsed.kind === "invalid") throw damaged(path);
  return parsed.manifest;
}

async function extractFile(
  archive: FileHandle,
  path: string,
  folder: string,
  { name, bytes, sha256 }: BackedUpFile,
): Promise<void> {
  const header = readTarHeader(await readBlock(archive));
  if (header === null || header === "end" || header.name !== name || header.bytes !== bytes) throw damaged(path);
  const hash = createHash("sha256");
  const cannotWrite = failWith(`--data-dir: ${name} cannot be written`);
  // The manifest allows only names that are not paths.
  const target = await open(join(folder, name), "wx", 0o600).catch(cannotWrite);
  try {
    for await (const piece of pieces(archive, bytes)) {
      hash.update(piece);
      await writeAll(target, piece).catch(cannotWrite);
    }
    await target.sync().catch(cannotWrite);
  } finally {
    await target.close();
  }
  if (hash.digest("hex") !== sha256) throw damaged(path);
  await skip(archive, paddingOf(bytes));
}

/** Reads the next bytes of a file, until `bytes` of them or its end. */
async function* pieces(file: FileHandle, bytes: number): AsyncGenerator<Uint8Array> {
  for (let left = bytes; left > 0;) {
    const buffer = new Uint8Array(Math.min(left, pieceBytes));
    const { bytesRead } = await file.read(buffer, 0, buffer.byteLength, null);
    if (bytesRead === 0) return;
    left -= bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Reads a header. A truncated one is padded with bytes of 1, because zeros would look like the end of the archive. */
async function readBlock(archive: FileHandle): Promise<Uint8Array> {
  const block = new Uint8Array(blockBytes).fill(1);
  await archive.read(block, 0, blockBytes, null);
  return block;
}

async function skip(archive: FileHandle, bytes: number): Promise<void> {
  if (bytes > 0) await archive.read(new Uint8Array(bytes), 0, bytes, null);
}

/**
 * Checks that a directory does not exist or is empty, before it is filled. Resolves with whether it exists.
 *
 * @throws CommandError if it is anything else
 */
export async function isEmptyFolder(path: string, setting: string): Promise<boolean> {
  const names = await readdir(path).catch((cause: unknown) => {
    if (errorCode(cause) === "ENOENT") return null;
    if (errorCode(cause) === "ENOTDIR") throw new CommandError(`${setting} ${path} is a file; name a new directory`);
    throw failed(`${setting} ${path} cannot be read`, cause);
  });
  if (names !== null && names.length > 0)
    throw new CommandError(`${setting} ${path} is not empty; name a new directory`);
  return names !== null;
}

/**
 * Moves files from a folder in a directory into that directory, and removes them again if one cannot be moved. It is synchronous, so that no signal
 * is handled in between.
 */
export function moveFiles(folder: string, names: readonly string[], target: string): void {
  const moved: string[] = [];
  try {
    for (const name of names) {
      moveFile(join(folder, name), join(target, name));
      moved.push(name);
    }
  } catch (cause) {
    for (const name of moved) rmSync(join(target, name), { force: true });
    throw cause;
  }
}

function damaged(path: string): CommandError {
  return new CommandError(`${path} is damaged: it is not what 'letta-proxy backup' wrote`);
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  EEXIST: "a file of that name appeared meanwhile",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
};

/** Returns the error for a failed operation; a CommandError is returned unchanged. */
export function failed(what: string, cause: unknown): CommandError {
  if (cause instanceof CommandError) return cause;
  const known = reasons[errorCode(cause) ?? ""] ?? describeAccess(cause);
  const reason = known ?? (cause instanceof Error ? cause.message : String(cause));
  return new CommandError(`${what}: ${reason}`, 1, { cause });
}

/** Returns a function that throws the error of a {@link failed} operation. */
export function failWith(what: string): (cause: unknown) => never {
  return (cause) => {
    throw failed(what, cause);
  };
}

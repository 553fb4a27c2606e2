/** Files that exist completely or not at all: all bytes are written, and a file gets its name once it is complete. */
import { closeSync, linkSync, openSync, renameSync, rmSync, unlinkSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { errorCode } from "./data-dir.ts";

/**
 * Writes bytes at the current position of a file. On a disk that is nearly full, a write may take fewer bytes than it was given, without an error.
 *
 * @throws the system's error if the rest cannot be written, such as `ENOSPC`
 */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, offset);
    if (bytesWritten === 0) throw new Error("the system accepts no more bytes");
    offset += bytesWritten;
  }
}

/**
 * Moves a file within its file system. Unlike a rename, it never replaces a file that appeared meanwhile.
 *
 * @throws an error with the code `EEXIST` if there is one. After any failure, the file does not have the new name
 */
export function moveFile(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (cause) {
    if (errorCode(cause) === "EEXIST") throw cause;
    // Some file systems have no hard links. There an empty file takes the name first.
    return replaceEmptyFile(from, to);
  }
  try {
    unlinkSync(from);
  } catch (cause) {
    rmSync(to, { force: true });
    throw cause;
  }
}

function replaceEmptyFile(from: string, to: string): void {
  closeSync(openSync(to, "wx", 0o600));
  try {
    renameSync(from, to);
  } catch (cause) {
    rmSync(to, { force: true });
    throw cause;
  }
}

import type { FileHandle } from "node:fs/promises";

/**
 * Writes bytes at the present position of a file. On a disk that is nearly full, a write may take fewer bytes than it was given, without an error.
 *
 * @throws what the system says when the rest cannot be written, such as `ENOSPC`
 */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.byteLength;) {
    const { bytesWritten } = await file.write(bytes, offset);
    if (bytesWritten === 0) throw new Error("the system writes nothing more");
    offset += bytesWritten;
  }
}

import { type FileHandle, open } from "node:fs/promises";
import { onTestFinished } from "vitest";

/**
 * Makes every write to an open file take only as many bytes as `decide` says, as a disk does that is nearly full, until the test ends.
 *
 * @param decide receives what a write was given, and may throw what the system would
 */
export async function shortenWrites(decide: (bytes: number) => number): Promise<void> {
  const file = await open(import.meta.filename, "r");
  const prototype: FileHandle = Object.getPrototypeOf(file);
  await file.close();
  const write: (
    this: FileHandle,
    bytes: Uint8Array,
    offset: number,
    length: number,
  ) => Promise<{ readonly bytesWritten: number }> = prototype.write;
  async function shortened(this: FileHandle, bytes: Uint8Array, offset = 0): ReturnType<typeof write> {
    return write.call(this, bytes, offset, decide(bytes.byteLength - offset));
  }
  Object.defineProperty(prototype, "write", { value: shortened, configurable: true, writable: true });
  onTestFinished(() => {
    Object.defineProperty(prototype, "write", { value: write, configurable: true, writable: true });
  });
}

/**
 * The headers of a tar archive in the POSIX format `ustar`, which every tar program reads: a block of 512 bytes before each file. Only
 * plain files with short names are written, and only those are accepted.
 */

/** Files and headers fill whole blocks of this many bytes. */
export const blockBytes = 512;

/** The largest file that a header can describe: eleven octal digits. */
export const maxFileBytes = 0o77777777777;

/** A file in an archive. */
export interface TarEntry {
  readonly name: string;
  readonly bytes: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Returns the header of a file. The time is in whole seconds since 1970. */
export function tarHeader({ name, bytes }: TarEntry, modifiedAt: number): Uint8Array {
  const block = new Uint8Array(blockBytes);
  const write = (offset: number, text: string): void => block.set(encoder.encode(text), offset);
  const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, "0")}\0`;
  write(0, name);
  write(100, octal(0o600, 7));
  write(108, octal(0, 7));
  write(116, octal(0, 7));
  write(124, octal(bytes, 11));
  write(136, octal(modifiedAt, 11));
  write(156, "0");
  write(257, "ustar\0" + "00");
  write(148, `${checksumOf(block).toString(8).padStart(6, "0")}\0 `);
  return block;
}

/** Returns the file that a header describes; `end` for the block of zeros after the last file, and `null` for anything else. */
export function readTarHeader(block: Uint8Array): TarEntry | "end" | null {
  if (block.every((byte) => byte === 0)) return "end";
  const text = (offset: number, length: number): string =>
    decoder.decode(block.subarray(offset, offset + length)).replace(/\0.*$/s, "");
  const stored = Number.parseInt(text(148, 8), 8);
  const size = text(124, 12).trim();
  const isPlainFile = text(156, 1) === "0" && text(257, 5) === "ustar" && text(345, 155) === "";
  if (stored !== checksumOf(block) || !isPlainFile || !/^[0-7]{1,11}$/.test(size)) return null;
  return { name: text(0, 100), bytes: Number.parseInt(size, 8) };
}

/** The sum of all bytes, with spaces in place of the checksum itself. */
function checksumOf(block: Uint8Array): number {
  return block.reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 0x20 : byte), 0);
}

/** Number of zeros that fill the last block of a file. */
export function paddingOf(bytes: number): number {
  return (blockBytes - (bytes % blockBytes)) % blockBytes;
}

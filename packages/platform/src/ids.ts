/**
 * Ids that are hard to guess and sort by time: a prefix and a ULID (github.com/ulid/spec) in lower case. Tables that are
 * ordered by such an id grow only at their end.
 */

/** Creates an id of the form `<prefix>-<26 characters>`. Ids sort by the millisecond in which they were created. */
export type RandomId = (prefix: string) => string;

/** Crockford's base 32 in lower case: it sorts like the number it encodes and has no letter that looks like a digit. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** The two characters of every 10-bit number. */
const pairs: readonly string[] = Array.from(
  { length: 1_024 },
  (_, value) => alphabet.charAt(value >> 5) + alphabet.charAt(value & 31),
);

/** Number of random bytes in a ULID. */
export const ulidRandomBytes = 10;

const maxUlidTime = 2 ** 48 - 1;

/**
 * Formats a ULID in lower case: 10 characters of time and 16 of randomness, which are the 10 bytes from `offset`.
 *
 * @throws RangeError when `timeMs` is not an integer of 48 bits, or fewer than {@link ulidRandomBytes} follow `offset`.
 */
export function formatUlid(timeMs: number, random: Uint8Array, offset: number = 0): string {
  if (!Number.isInteger(timeMs) || timeMs < 0 || timeMs > maxUlidTime) throw new RangeError("time must fit in 48 bits");
  if (random.byteLength - offset < ulidRandomBytes) throw new RangeError(`random must have ${ulidRandomBytes} bytes`);
  const high = Math.floor(timeMs / 2 ** 30);
  const low = timeMs % 2 ** 30;
  const time = `${pairAt(high >> 10)}${pairAt(high)}${pairAt(low >> 20)}${pairAt(low >> 10)}${pairAt(low)}`;
  return time + formatFive(random, offset) + formatFive(random, offset + 5);
}

/** Formats 5 bytes as 8 characters. */
function formatFive(bytes: Uint8Array, offset: number): string {
  const [first, second, third] = [bytes[offset] ?? 0, bytes[offset + 1] ?? 0, bytes[offset + 2] ?? 0];
  const [fourth, fifth] = [bytes[offset + 3] ?? 0, bytes[offset + 4] ?? 0];
  const [left, right] = [(first << 12) | (second << 4) | (third >> 4), ((third & 15) << 16) | (fourth << 8) | fifth];
  return `${pairAt(left >> 10)}${pairAt(left)}${pairAt(right >> 10)}${pairAt(right)}`;
}

/** The characters of the lowest 10 bits. */
function pairAt(value: number): string {
  return pairs[value & 1_023] ?? "";
}

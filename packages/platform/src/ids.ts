/**
 * Ids that are hard to guess and sort by time: a prefix and a ULID (github.com/ulid/spec) in lower case. Tables that are
 * ordered by such an id grow only at their end.
 */

/** Creates an id of the form `<prefix>-<26 characters>`. Ids sort by the millisecond in which they were created. */
export type RandomId = (prefix: string) => string;

/** Crockford's base 32 in lower case: it sorts like the number it encodes and has no letter that looks like a digit. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** Number of random bytes in a ULID. */
export const ulidRandomBytes = 10;

const largestTime = 2 ** 48 - 1;

/**
 * Formats a ULID in lower case: 10 characters of time and 16 of randomness.
 *
 * @throws RangeError when `timeMs` is not an integer of 48 bits or `random` is not {@link ulidRandomBytes} long.
 */
export function formatUlid(timeMs: number, random: Uint8Array): string {
  if (!Number.isInteger(timeMs) || timeMs < 0 || timeMs > largestTime) throw new RangeError("time must fit in 48 bits");
  if (random.byteLength !== ulidRandomBytes) throw new RangeError(`random must have ${ulidRandomBytes} bytes`);
  let text = "";
  for (let rest = timeMs, index = 0; index < 10; index++, rest = Math.floor(rest / 32)) {
    text = alphabet.charAt(rest % 32) + text;
  }
  let bits = 0;
  let bitCount = 0;
  for (const byte of random) {
    bits = (bits << 8) | byte;
    bitCount += 8;
    while (bitCount >= 5) {
      bitCount -= 5;
      text += alphabet.charAt((bits >>> bitCount) & 31);
    }
    bits &= (1 << bitCount) - 1;
  }
  return text;
}

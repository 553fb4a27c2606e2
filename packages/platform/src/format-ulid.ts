/** Crockford's base 32 in lower case: it sorts like the number it writes, and has no letter that reads as a digit. */
const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** Random bytes that {@link formatUlid} takes. */
export const ulidRandomBytes = 10;

const largestTime = 2 ** 48 - 1;

/**
 * Writes a ULID in lower case: 10 characters of time and 16 of randomness (ULID specification, github.com/ulid/spec).
 *
 * @throws RangeError when the time is no epoch millisecond of 48 bits or the bytes are not {@link ulidRandomBytes} long.
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

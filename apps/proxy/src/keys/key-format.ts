/**
 * The shape of a gateway key: `lek_` + 12 characters of public id + `_` + 43 of secret + 6 of checksum, all base62.
 *
 * The prefix lets secret scanners find a leaked key, the public id lets people name one without showing it, the secret has
 * 256 bits, and the checksum refuses typing errors, and keys that were made up without it, before any store is read.
 */
import type { RandomBytes } from "../ports.ts";

/** How every gateway key begins. */
export const keyPrefix = "lek_";
const idLength = 12;
const secretLength = 43;
const checksumLength = 6;
const keyPattern = /^lek_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/;

/** Characters of a key. */
export const keyLength: number = keyPrefix.length + idLength + 1 + secretLength + checksumLength;

/** Whether a text has the form of the public id of a gateway key. Ids of tokens and of callers' own upstream keys do not. */
export function isKeyId(text: string): boolean {
  return /^[0-9A-Za-z]{12}$/.test(text);
}

/** A new public id. */
export function generateKeyId(randomBytes: RandomBytes): string {
  return randomBase62(idLength, randomBytes);
}

/** A new key for a public id. */
export function generateKey(id: string, randomBytes: RandomBytes): string {
  const unchecked = `${keyPrefix}${id}_${randomBase62(secretLength, randomBytes)}`;
  return unchecked + checksumOf(unchecked);
}

/** Whether a text has the length of a key. Other texts need not be parsed. */
export function hasKeyLength(text: string): boolean {
  return text.length === keyLength;
}

/** The public id of a well-formed key, or `null` for anything else. Reads no store. */
export function parseKeyId(key: string): string | null {
  if (!hasKeyLength(key) || !keyPattern.test(key)) return null;
  if (checksumOf(key.slice(0, -checksumLength)) !== key.slice(-checksumLength)) return null;
  return key.slice(keyPrefix.length, keyPrefix.length + idLength);
}

function checksumOf(text: string): string {
  return encodeBase62(crc32(text), checksumLength);
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Largest multiple of 62 that fits in a byte: higher bytes would favour the first letters. */
const fairBytes = 248;

/** Random base62 text, every letter equally likely. */
export function randomBase62(length: number, randomBytes: RandomBytes): string {
  let text = "";
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < fairBytes && text.length < length) text += alphabet.charAt(byte % 62);
    }
  }
  return text;
}

/** Writes a whole number in base62, padded with `0`. */
export function encodeBase62(value: number, length: number): string {
  let text = "";
  for (let rest = value; text.length < length; rest = Math.floor(rest / 62)) text = alphabet.charAt(rest % 62) + text;
  return text;
}

const table: Uint32Array = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 (ISO 3309, as in gzip) of an ASCII text. */
export function crc32(text: string): number {
  let crc = 0xffffffff;
  for (let index = 0; index < text.length; index++) {
    crc = (crc >>> 8) ^ (table[(crc ^ text.charCodeAt(index)) & 0xff] ?? 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

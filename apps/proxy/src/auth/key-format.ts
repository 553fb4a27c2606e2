/**
 * The shape of a gateway key: `lek_` + 12 characters of public id + `_` + 43 of secret + 6 of checksum, all base62.
 *
 * The prefix lets secret scanners find a leaked key, the public id lets people name one without showing it, the secret has
 * 256 bits, and the checksum refuses typing errors and guesses before any store is asked.
 */
import type { RandomBytes } from "../ports.ts";
import { encodeBase62, randomBase62 } from "./base62.ts";
import { crc32 } from "./crc32.ts";

/** How every gateway key begins. */
export const keyPrefix = "lek_";
const idLength = 12;
const secretLength = 43;
const checksumLength = 6;
const keyPattern = /^lek_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/;

/** Characters of a key. */
export const keyLength: number = keyPrefix.length + idLength + 1 + secretLength + checksumLength;

/** A new public id. */
export function generateKeyId(randomBytes: RandomBytes): string {
  return randomBase62(idLength, randomBytes);
}

/** A new key for a public id. */
export function generateKey(id: string, randomBytes: RandomBytes): string {
  const unchecked = `${keyPrefix}${id}_${randomBase62(secretLength, randomBytes)}`;
  return unchecked + checksumOf(unchecked);
}

/** Whether a text is as long as keys are: what is not needs no closer look. */
export function hasKeyLength(text: string): boolean {
  return text.length === keyLength;
}

/** The public id of a well-formed key, or `null` for anything else. Asks no store. */
export function parseKeyId(key: string): string | null {
  if (!hasKeyLength(key) || !keyPattern.test(key)) return null;
  if (checksumOf(key.slice(0, -checksumLength)) !== key.slice(-checksumLength)) return null;
  return key.slice(keyPrefix.length, keyPrefix.length + idLength);
}

function checksumOf(text: string): string {
  return encodeBase62(crc32(text), checksumLength);
}

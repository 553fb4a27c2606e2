/** Digests as ports. Each runtime implements them in its own folder. */

/** SHA-256 (FIPS 180-4) of a text in UTF-8 or of bytes, as 64 lower-case hex digits. */
export type Sha256 = (input: string | Uint8Array) => string;

/** HMAC-SHA-256 (RFC 2104) of a text in UTF-8 or of bytes, as 64 lower-case hex digits. */
export type HmacSha256 = (key: Uint8Array, input: string | Uint8Array) => string;

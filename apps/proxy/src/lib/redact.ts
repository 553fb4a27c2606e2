/**
 * Removes from texts and messages of errors what looks like a secret. Events contain none, but error messages of other programs, such as a driver,
 * may repeat their input.
 */

const secrets: readonly (readonly [RegExp, string])[] = [
  // Gateway keys, and keys of the vendor.
  [/lek_[\w-]+/gi, "lek_***"],
  [/\bsk-[\w-]{8,}/g, "sk-***"],
  // JWTs (RFC 7519), whole or cut off.
  [/\beyJ[\w-]+(?:\.[\w-]*)*/g, "eyJ***"],
  [/\b(bearer|basic)(?:\s|%20)+[\w.~+/=-]+/gi, "$1 ***"],
  // The user of a URL, up to the last `@`, since passwords may contain one. The limits avoid repeated scans of long texts.
  [/([a-z][a-z0-9+.-]{0,30}:\/\/)[^\s"]{1,512}@/gi, "$1***@"],
  // Tickets and tokens in a query.
  [/([?&](?:token|ticket|key|secret|password)=)[^&\s"']+/gi, "$1***"],
];

/** Replaces everything in a text that looks like a secret. */
export function redact(text: string): string {
  return secrets.reduce((rest, [pattern, replacement]) => rest.replace(pattern, replacement), text);
}

/** Returns the message of the innermost cause, the most specific one, such as `connect ECONNREFUSED` or `WRONGPASS`, without secrets. */
export function rootCauseMessage(cause: unknown): string {
  if (!(cause instanceof Error)) return redact(String(cause));
  return cause.cause instanceof Error ? rootCauseMessage(cause.cause) : redact(cause.message);
}

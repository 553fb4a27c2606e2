/**
 * Checks what stands in a field as a token (RFC 9651, 3.3.4).
 *
 * @throws TypeError for what is none
 */
export function checkToken(text: string): void {
  if (!/^[A-Za-z*][!#$%&'*+\-.^_`|~0-9A-Za-z:/]*$/.test(text)) throw new TypeError(`No token: ${text}`);
}

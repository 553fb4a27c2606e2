/** `byteLength` cryptographically strong random bytes. Workers refuse them outside of a request. */
export function randomBytes(byteLength: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(byteLength));
}

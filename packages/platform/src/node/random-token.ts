import { randomBytes } from "node:crypto";

/** A secret of `byteLength` random bytes (32 unless told otherwise) in base64url without padding (RFC 4648 section 5). */
export function randomToken(byteLength: number = 32): string {
  return randomBytes(byteLength).toString("base64url");
}

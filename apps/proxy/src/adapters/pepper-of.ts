import type { HmacSha256 } from "@letta-environments/platform";
import type { Pepper } from "../ports.ts";

/** A pepper from its secret, text in UTF-8 or bytes, with the name that records tell it by. */
export function pepperOf(secret: string | Uint8Array, hmacSha256: HmacSha256): Pepper {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  return { id: hmacSha256(bytes, "pepper id").slice(0, 12), secret: bytes };
}

import { randomBytes } from "node:crypto";
import { hmacSha256Hex } from "@letta-environments/platform/node";
import type { KeyMint } from "../../keys/key-lifecycle.ts";
import type { Pepper } from "../../ports.ts";

/** Mints keys with Node's own randomness. */
export function nodeKeyMint(pepper: Pepper): KeyMint {
  return { digests: { hmacSha256: hmacSha256Hex }, pepper, randomBytes };
}

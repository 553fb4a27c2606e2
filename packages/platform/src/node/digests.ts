import { createHmac, hash } from "node:crypto";
import type { HmacSha256, Sha256 } from "../digest.ts";

/** {@link Sha256} through the one-shot `crypto.hash`, which needs no hash object. */
export const sha256Hex: Sha256 = (input) => hash("sha256", input, "hex");

/** {@link HmacSha256}. */
export const hmacSha256Hex: HmacSha256 = (key, input) => createHmac("sha256", key).update(input).digest("hex");

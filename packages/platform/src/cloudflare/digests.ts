import { createHash, createHmac } from "node:crypto";
import type { HmacSha256, Sha256 } from "../digest.ts";

/** {@link Sha256} through `nodejs_compat`: the Web Crypto API has no hash that answers at once. */
export const sha256Hex: Sha256 = (input) => createHash("sha256").update(input).digest("hex");

/** {@link HmacSha256}. */
export const hmacSha256Hex: HmacSha256 = (key, input) => createHmac("sha256", key).update(input).digest("hex");

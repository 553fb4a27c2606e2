/** Hash functions over the part of `node:crypto` that Workers with `nodejs_compat` also have. */
import { createHmac, timingSafeEqual } from "node:crypto";
import type { HmacSha256 } from "../digests.ts";

/** {@link HmacSha256}. */
export const hmacSha256Hex: HmacSha256 = (key, input) => createHmac("sha256", key).update(input).digest("hex");

/** Compares two texts in a time that depends only on their lengths. */
export function constantTimeEqual(left: string, right: string): boolean {
  const leftBytes = Buffer.from(left);
  const rightBytes = Buffer.from(right);
  return leftBytes.byteLength === rightBytes.byteLength && timingSafeEqual(leftBytes, rightBytes);
}

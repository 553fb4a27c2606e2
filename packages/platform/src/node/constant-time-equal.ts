import { timingSafeEqual } from "node:crypto";

/** Tells whether two texts are equal in a time that depends on their lengths alone. */
export function constantTimeEqual(left: string, right: string): boolean {
  const leftBytes = Buffer.from(left);
  const rightBytes = Buffer.from(right);
  return leftBytes.byteLength === rightBytes.byteLength && timingSafeEqual(leftBytes, rightBytes);
}

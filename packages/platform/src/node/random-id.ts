import { randomFillSync } from "node:crypto";
import { formatUlid, ulidRandomBytes } from "../format-ulid.ts";
import type { RandomId } from "../random-id.ts";

/** One call of the system for many ids. */
const pool = new Uint8Array(400 * ulidRandomBytes);
let used = pool.byteLength;

/** {@link RandomId} with a ULID of the machine's clock. */
export const randomId: RandomId = (prefix) => {
  if (used === pool.byteLength) {
    randomFillSync(pool);
    used = 0;
  }
  const random = pool.subarray(used, used + ulidRandomBytes);
  used += ulidRandomBytes;
  return `${prefix}-${formatUlid(Date.now(), random)}`;
};

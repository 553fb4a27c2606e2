import { randomBytes } from "node:crypto";
import { formatUlid, ulidRandomBytes } from "../format-ulid.ts";
import type { RandomId } from "../random-id.ts";

/** {@link RandomId} with a ULID of the machine's clock. */
export const randomId: RandomId = (prefix) => `${prefix}-${formatUlid(Date.now(), randomBytes(ulidRandomBytes))}`;

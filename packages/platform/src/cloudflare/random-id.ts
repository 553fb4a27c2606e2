import { formatUlid, ulidRandomBytes } from "../format-ulid.ts";
import type { RandomId } from "../random-id.ts";
import { randomBytes } from "./random-bytes.ts";

/** {@link RandomId} with a ULID of the clock of Workers. */
export const randomId: RandomId = (prefix) => `${prefix}-${formatUlid(Date.now(), randomBytes(ulidRandomBytes))}`;

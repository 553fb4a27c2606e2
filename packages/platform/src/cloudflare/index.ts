export { constantTimeEqual } from "../node/constant-time-equal.ts";
export { hmacSha256Hex, sha256Hex } from "./digests.ts";
export { type DurableSqlValue, type DurableStorage, openDurableSqlite } from "./open-durable-sqlite.ts";
export { randomBytes } from "./random-bytes.ts";
export { randomId } from "./random-id.ts";
export { systemClock } from "./system-clock.ts";

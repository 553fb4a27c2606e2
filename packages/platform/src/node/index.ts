export { constantTimeEqual } from "./constant-time-equal.ts";
export { hmacSha256Hex, sha256Hex } from "./digests.ts";
export { openSqlite } from "./open-sqlite.ts";
export { randomId } from "./random-id.ts";
export { randomToken } from "./random-token.ts";
export { systemClock } from "./system-clock.ts";

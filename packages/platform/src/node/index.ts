export { constantTimeEqual, hmacSha256Hex, randomId, randomToken, sha256Hex, systemClock } from "./primitives.ts";
export { openSqlite } from "./sqlite.ts";

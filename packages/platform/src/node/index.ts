export { constantTimeEqual, hmacSha256Hex, random, randomId, sha256Hex, systemClock } from "./primitives.ts";
export { openSqlite } from "./sqlite.ts";
export { atTurnEnd } from "./turn-end.ts";

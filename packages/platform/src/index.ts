export type { Clock } from "./clock.ts";
export type { HmacSha256, Sha256 } from "./digest.ts";
export { formatUlid, ulidRandomBytes } from "./format-ulid.ts";
export { migrateSqlite, type SqliteVersionStore } from "./migrate-sqlite.ts";
export type { RandomId } from "./random-id.ts";
export { type SqliteDatabase, type SqliteRow, type SqliteStatement, type SqliteValue } from "./sqlite.ts";
export { isSqliteBusy, isSqliteError } from "./sqlite-failure.ts";
export { parseValkeyUrl, type ValkeyAddress } from "./parse-valkey-url.ts";
export { ValkeyError, type ValkeyErrorCode, type ValkeyConnection, type ValkeyReply } from "./valkey.ts";

/** The parts that depend on no runtime. Clocks, digests and SQLite of each one are in `./node`, `./bun` and `./cloudflare`. */
export { type Clock, createAnchoredClock, createAnchoredNow, inBatches, sleep } from "./clock.ts";
export type { HmacSha256, Sha256 } from "./digests.ts";
export {
  type CommitChange,
  createGroupCommit,
  type GroupCommit,
  type GroupCommitOptions,
  type TransactionHooks,
} from "./group-commit.ts";
export { formatUlid, type RandomId, ulidRandomBytes } from "./ids.ts";
export { mapMaybe, type MaybePromise } from "./maybe-promise.ts";
export { migrateSqlite, type SqliteVersionStore } from "./migrate-sqlite.ts";
export {
  isSqliteBusy,
  isSqliteDiskFailure,
  isSqliteError,
  type SqliteDatabase,
  type SqliteFile,
  type SqliteRow,
  type SqliteStatement,
  type SqliteValue,
} from "./sqlite.ts";
export { createSqliteRetry, SqliteLockedError, type SqliteRetryTime } from "./sqlite-retry.ts";
export { parseValkeyUrl, type ValkeyConnection, ValkeyError, type ValkeyReply } from "./valkey.ts";

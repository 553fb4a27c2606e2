/** The clock, digests, ids and SQLite driver (`bun:sqlite`) of Bun, for `createEnvironmentServer` and its store. */
export { openSqlite } from "@letta-environments/platform/bun";
export { randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";

/** The clock, digests, ids and SQLite driver of Node.js 22.18 and later, and of Deno, for `createEnvironmentServer` and its store. */
export { openSqlite, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";

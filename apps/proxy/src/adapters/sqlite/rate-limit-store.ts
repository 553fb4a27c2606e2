import { type Clock, type SqliteDatabase, migrateSqlite } from "@letta-environments/platform";
import { decideRateLimits } from "../../rate-limit/decide.ts";
import type { LocalRateLimitStore } from "../../rate-limit/store.ts";

/** How long a request waits for another process's transaction unless told otherwise, in milliseconds. */
const defaultDeadlineMs = 100;
/** How many takes lie between two removals of what is at rest, and how many rows of a kind one removes: more than the takes add. */
const takesBetweenPurges = 16;
const rowsPerPurge = 256;

/**
 * A commit is not forced to the disk: what a power cut may lose is the last moments of counting, and a forced commit would cost each
 * request milliseconds. A crash of the process loses nothing. That is why the store wants a database of its own.
 */
const pragmas = "PRAGMA synchronous = NORMAL;";

const schema = `
  CREATE TABLE IF NOT EXISTS rate_limits (
    policy TEXT NOT NULL, key TEXT NOT NULL, arrival_us INTEGER NOT NULL, PRIMARY KEY (policy, key)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX IF NOT EXISTS rate_limits_by_arrival ON rate_limits (arrival_us);
  CREATE TABLE IF NOT EXISTS rate_limit_leases (
    policy TEXT NOT NULL, key TEXT NOT NULL, lease_id TEXT NOT NULL, expires_us INTEGER NOT NULL,
    PRIMARY KEY (policy, key, lease_id)
  ) WITHOUT ROWID, STRICT;
  CREATE INDEX IF NOT EXISTS rate_limit_leases_by_expiry ON rate_limit_leases (expires_us);
`;

/** Limits in SQLite, which can be asked to remove what counts no more. */
export interface SqliteRateLimitStore extends LocalRateLimitStore {
  /** Removes all that is at rest, and tells when the last of what is left will be, in epoch milliseconds; `null` when nothing is left. */
  sweep(): number | null;
}

/**
 * Limits in SQLite: they survive a restart, and several processes of one machine may share the file. Times are those of the wall
 * clock. Takes over the settings of its connection, so the database must be its own.
 *
 * @param deadlineMs how long a request waits for another process's transaction; then the limiter decides without the store. `null` where
 * there is one connection and its settings are not ours to make, as in a Durable Object.
 */
export function createSqliteRateLimitStore(
  database: SqliteDatabase,
  clock: Clock,
  deadlineMs: number | null = defaultDeadlineMs,
): SqliteRateLimitStore {
  if (deadlineMs === null) database.transaction(() => database.exec(schema));
  else {
    database.exec(pragmas);
    migrateSqlite(database, [schema]);
    database.exec(`PRAGMA busy_timeout = ${deadlineMs};`);
  }
  const selectArrival = database.prepare("SELECT arrival_us FROM rate_limits WHERE policy = ? AND key = ?");
  const saveArrival = database.prepare(
    "INSERT INTO rate_limits (policy, key, arrival_us) VALUES (?, ?, ?) " +
      "ON CONFLICT (policy, key) DO UPDATE SET arrival_us = excluded.arrival_us",
  );
  const countOthers = database.prepare(
    "SELECT count(*) AS count FROM rate_limit_leases WHERE policy = ? AND key = ? AND lease_id <> ? AND expires_us > ?",
  );
  const saveLease = database.prepare(
    "INSERT INTO rate_limit_leases (policy, key, lease_id, expires_us) VALUES (?, ?, ?, ?) " +
      "ON CONFLICT (policy, key, lease_id) DO UPDATE SET expires_us = excluded.expires_us",
  );
  // What has expired stays so, and what lives ends within its time, when the clock is set back.
  const deleteExpired = database.prepare(
    "DELETE FROM rate_limit_leases WHERE policy = ? AND key = ? AND expires_us <= ?",
  );
  const clampLeases = database.prepare(
    "UPDATE rate_limit_leases SET expires_us = ? WHERE policy = ? AND key = ? AND expires_us > ?",
  );
  const deleteLease = database.prepare("DELETE FROM rate_limit_leases WHERE policy = ? AND key = ? AND lease_id = ?");
  const purges = [
    "DELETE FROM rate_limits WHERE (policy, key) IN " +
      "(SELECT policy, key FROM rate_limits WHERE arrival_us <= ? LIMIT ?)",
    "DELETE FROM rate_limit_leases WHERE (policy, key, lease_id) IN " +
      "(SELECT policy, key, lease_id FROM rate_limit_leases WHERE expires_us <= ? LIMIT ?)",
  ].map((sql) => database.prepare(sql));
  const selectLast = database.prepare(
    "SELECT max(end_us) AS last FROM (SELECT max(arrival_us) AS end_us FROM rate_limits UNION ALL SELECT max(expires_us) FROM rate_limit_leases)",
  );
  let takes = 0;

  function readState(policy: string, key: string): number {
    return Number(selectArrival.get(policy, key)?.["arrival_us"] ?? 0);
  }

  return {
    take(checks, { probe, leaseId }) {
      return database.transaction(() => {
        // Read within the transaction: another process may have decided later requests while this one waited.
        const nowUs = Math.floor(clock.now() * 1_000);
        const states = Float64Array.from(checks, ({ policy, key }) => {
          if (policy.unit === "requests") return readState(policy.name, key);
          const latestUs = nowUs + policy.windowMs * 1_000;
          if (!probe) {
            deleteExpired.run(policy.name, key, nowUs);
            clampLeases.run(latestUs, policy.name, key, latestUs);
          }
          return Number(countOthers.get(policy.name, key, leaseId ?? "", nowUs)?.["count"] ?? 0);
        });
        const before = states.slice();
        const outcome = decideRateLimits(checks, states, nowUs, probe);
        if (probe) return outcome;
        for (const [index, { policy, key }] of checks.entries()) {
          const state = states[index] ?? 0;
          if (policy.unit === "requests") {
            if (state !== before[index]) saveArrival.run(policy.name, key, state);
          } else if (state === 1 && leaseId !== null) {
            saveLease.run(policy.name, key, leaseId, nowUs + policy.windowMs * 1_000);
          }
        }
        takes += 1;
        if (takes % takesBetweenPurges === 0) for (const purge of purges) purge.run(nowUs, rowsPerPurge);
        return outcome;
      });
    },
    sweep() {
      return database.transaction(() => {
        for (const purge of purges) purge.run(Math.floor(clock.now() * 1_000), -1);
        const last = selectLast.get()?.["last"] ?? null;
        return last === null ? null : Number(last) / 1_000;
      });
    },
    release(leaseId, checks) {
      const leases = checks.filter(({ policy }) => policy.unit === "concurrent-requests");
      if (leases.length === 0) return;
      database.transaction(() => {
        for (const { policy, key } of leases) deleteLease.run(policy.name, key, leaseId);
      });
    },
  };
}

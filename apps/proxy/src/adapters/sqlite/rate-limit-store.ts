/**
 * Counts rate limits in SQLite. They survive a restart, and several processes on one machine may share the file. Each request is
 * one transaction.
 *
 * Times are steady: each process starts at its wall time and then follows its monotonic clock, so a wall clock that jumps changes no
 * limit. Processes that share a file agree on the latest of their times, which is in the file. A restart may find times that lie too
 * far ahead: `decideRateLimits` cuts an arrival time to one whole burst from now, and leases are cut to one window from now. So
 * setting back the clock before a restart lifts no limit, and delays nobody by more than an empty bucket.
 */
import {
  type Clock,
  createAnchoredNow,
  migrateSqlite,
  type SqliteDatabase,
  type SqliteStatement,
} from "@letta-environments/platform";
import { grantAllowances } from "../../rate-limit/allowance.ts";
import { decideRateLimits } from "../../rate-limit/decide.ts";
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { LocalRateLimitStore, RateLimitOutcome, RateLimitTakeOptions } from "../../rate-limit/store.ts";
import { createSharedTime } from "./shared-time.ts";

/** Default of `deadlineMs`. */
const defaultDeadlineMs = 100;
/** The longest wait for another process's transaction, in milliseconds: SQLite blocks the event loop while it waits. */
const maxBlockingMs = 40;
/** How often idle rows are removed, and how many at a time: more than the requests in between can add. */
const takesBetweenPurges = 16;
const rowsPerPurge = 256;

/**
 * Commits are not forced to the disk, which would cost each request milliseconds. A power cut may lose the last moments of counting;
 * a crash of the process loses nothing. Because of this setting the store needs its own database.
 */
const pragmas = "PRAGMA synchronous = NORMAL;";

/** The tables. Durable Objects execute them at each start, without a version, so a new column is not added here, but needs a step and its own check. */
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

/** The latest time of any process that shares the file, in microseconds. Versions that do not know the table ignore it. */
const sharedTime = `
  CREATE TABLE IF NOT EXISTS rate_limit_time (latest_us INTEGER NOT NULL) STRICT;
  INSERT INTO rate_limit_time (latest_us) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM rate_limit_time);
`;

/** An outcome, and the units that were granted in advance for each check; absent if none were. */
export type GrantingOutcome = RateLimitOutcome & { readonly granted?: readonly number[] };

export interface SqliteRateLimitStore extends LocalRateLimitStore {
  /** As `take`, and also grants allowances of at most `requested` units for the checks of an admitted request, see `allowance.ts`. */
  takeAndGrant(
    checks: readonly RateLimitCheck[],
    options: RateLimitTakeOptions,
    requested: readonly number[],
  ): GrantingOutcome;
  /** Removes all idle rows. Returns in how many milliseconds the last remaining row becomes idle, or `null` if none remains. */
  sweep(): number | null;
}

/**
 * Creates a store. It changes the settings of the connection, so the database must be its own.
 *
 * @param deadlineMs How long a request waits for another process's transaction, in milliseconds, but at most 40; after that `take` throws. `null` for
 * a database with a single connection whose settings must not be changed, as in a Durable Object.
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
    database.transaction(() => database.exec(sharedTime));
    database.exec(`PRAGMA busy_timeout = ${Math.min(deadlineMs, maxBlockingMs)};`);
  }
  const statements = prepareStatements(database);
  const time = deadlineMs === null ? createOwnTime(clock) : createFileTime(database, clock);
  let takes = 0;

  function takeAndGrant(
    checks: readonly RateLimitCheck[],
    options: RateLimitTakeOptions,
    requested: readonly number[],
  ): GrantingOutcome {
    return database.transaction(() => {
      const nowUs = time.readUs();
      const states = Float64Array.from(checks, (check) => readState(statements, check, nowUs, options));
      const before = states.slice();
      const outcome = decideRateLimits(checks, states, nowUs, options.probe);
      const grants = outcome.admitted && !options.probe && requested.length > 0;
      const granted = grants ? grantAllowances(checks, states, nowUs, requested) : [];
      writeStates(statements, checks, { before, states }, nowUs, options.leaseId);
      if (options.probe) return outcome;
      time.save(nowUs);
      takes += 1;
      if (takes % takesBetweenPurges === 0) purge(statements, nowUs, rowsPerPurge);
      return granted.length > 0 ? { ...outcome, granted } : outcome;
    });
  }

  return {
    take: (checks, options) => takeAndGrant(checks, options, []),
    takeAndGrant,
    sweep() {
      return database.transaction(() => {
        const nowUs = time.readUs();
        purge(statements, nowUs, -1);
        const last = statements.selectLast.get()?.["last"] ?? null;
        return last === null ? null : (Number(last) - nowUs) / 1_000;
      });
    },
    release(leaseId, checks) {
      const leases = checks.filter(({ policy }) => policy.unit === "concurrent-requests");
      if (leases.length === 0) return;
      database.transaction(() => {
        for (const { policy, key } of leases) statements.deleteLease.run(policy.name, key, leaseId);
      });
    },
  };
}

/** The time of a database that no other process uses. */
function createOwnTime(clock: Clock): ReturnType<typeof createFileTime> {
  const anchoredNow = createAnchoredNow(clock);
  return { readUs: () => anchoredNow() * 1_000, save: () => undefined };
}

/** The time of a file that several processes may share, in microseconds. Both functions run within the transaction of a request. */
function createFileTime(database: SqliteDatabase, clock: Clock) {
  const select = database.prepare("SELECT latest_us FROM rate_limit_time");
  const update = database.prepare("UPDATE rate_limit_time SET latest_us = ?");
  const anchoredNow = createAnchoredNow(clock);
  const readUs = createSharedTime(
    () => anchoredNow() * 1_000,
    () => Number(select.get()?.["latest_us"] ?? 0),
  );
  return { readUs, save: (nowUs: number): void => void update.run(nowUs) };
}

const sql = {
  selectArrival: "SELECT arrival_us FROM rate_limits WHERE policy = ? AND key = ?",
  saveArrival: `INSERT INTO rate_limits (policy, key, arrival_us) VALUES (?, ?, ?)
    ON CONFLICT (policy, key) DO UPDATE SET arrival_us = excluded.arrival_us`,
  countOthers: `SELECT count(*) AS count FROM rate_limit_leases
    WHERE policy = ? AND key = ? AND lease_id <> ? AND expires_us > ?`,
  saveLease: `INSERT INTO rate_limit_leases (policy, key, lease_id, expires_us) VALUES (?, ?, ?, ?)
    ON CONFLICT (policy, key, lease_id) DO UPDATE SET expires_us = excluded.expires_us`,
  deleteExpired: "DELETE FROM rate_limit_leases WHERE policy = ? AND key = ? AND expires_us <= ?",
  clampLeases: "UPDATE rate_limit_leases SET expires_us = ? WHERE policy = ? AND key = ? AND expires_us > ?",
  deleteLease: "DELETE FROM rate_limit_leases WHERE policy = ? AND key = ? AND lease_id = ?",
  purgeArrivals: `DELETE FROM rate_limits WHERE (policy, key) IN
    (SELECT policy, key FROM rate_limits WHERE arrival_us <= ? LIMIT ?)`,
  purgeLeases: `DELETE FROM rate_limit_leases WHERE (policy, key, lease_id) IN
    (SELECT policy, key, lease_id FROM rate_limit_leases WHERE expires_us <= ? LIMIT ?)`,
  selectLast: `SELECT max(end_us) AS last FROM
    (SELECT max(arrival_us) AS end_us FROM rate_limits UNION ALL SELECT max(expires_us) FROM rate_limit_leases)`,
} as const;

type Statements = Readonly<Record<keyof typeof sql, SqliteStatement>>;

function prepareStatements(database: SqliteDatabase): Statements {
  const prepared = Object.entries(sql).map(([name, text]) => [name, database.prepare(text)]);
  return Object.fromEntries(prepared) as Statements;
}

function readState(
  { selectArrival, deleteExpired, clampLeases, countOthers }: Statements,
  { policy, key }: RateLimitCheck,
  nowUs: number,
  { probe, leaseId }: RateLimitTakeOptions,
): number {
  if (policy.unit === "requests") return Number(selectArrival.get(policy.name, key)?.["arrival_us"] ?? 0);
  if (!probe) {
    // Expired leases stay expired and live ones end within a window from now, even if the clock is set back.
    const latestUs = nowUs + policy.windowMs * 1_000;
    deleteExpired.run(policy.name, key, nowUs);
    clampLeases.run(latestUs, policy.name, key, latestUs);
  }
  return Number(countOthers.get(policy.name, key, leaseId ?? "", nowUs)?.["count"] ?? 0);
}

function writeStates(
  { saveArrival, saveLease }: Statements,
  checks: readonly RateLimitCheck[],
  { before, states }: { readonly before: Float64Array; readonly states: Float64Array },
  nowUs: number,
  leaseId: string | null,
): void {
  for (const [index, { policy, key }] of checks.entries()) {
    const state = states[index] ?? 0;
    if (policy.unit === "requests") {
      if (state !== before[index]) saveArrival.run(policy.name, key, state);
    } else if (state === 1 && leaseId !== null) {
      saveLease.run(policy.name, key, leaseId, nowUs + policy.windowMs * 1_000);
    }
  }
}

/** Removes up to `rows` idle rows of each table; all for -1. */
function purge({ purgeArrivals, purgeLeases }: Statements, nowUs: number, rows: number): void {
  purgeArrivals.run(nowUs, rows);
  purgeLeases.run(nowUs, rows);
}

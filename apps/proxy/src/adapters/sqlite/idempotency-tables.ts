/**
 * The tables that remember sends, and the synchronous operations on them. Node, Bun and Deno keep them in the file of the audit
 * records; on Workers each tenant has a Durable Object with them. Every operation that changes something must run in a write
 * transaction.
 */
import { type Clock, createSteadyNow, type SqliteDatabase, type SqliteRow } from "@letta-environments/platform";
import {
  type KnownConnection,
  type KnownEntry,
  type Reservation,
  type ReserveOutcome,
  retentionMs,
  type SendResult,
  type SendScope,
} from "../../idempotency/store.ts";

/** Ids, and connections, that are remembered at most. */
export const defaultCapacity = 1_000_000;
/** Expired rows of each table that one reservation removes: more than it adds, so that none are left over. */
const rowsPerPrune = 64;
/** The same for a reservation that finds no room. */
const rowsPerFullPrune = 1_024;

/**
 * The tables. A text `key` stands for an id in its scope, see {@link keyOf}. A row of `send_attempts` is one send, with its result.
 * Results and connections are JSON. Triggers count the rows, because counting a million of them takes long.
 */
export const sendTables = `
  CREATE TABLE IF NOT EXISTS send_attempts (
    attempt INTEGER PRIMARY KEY,
    send_id TEXT NOT NULL,
    reserved_at INTEGER NOT NULL,
    lease_ends_at INTEGER NOT NULL,
    result TEXT
  ) STRICT;
  CREATE INDEX IF NOT EXISTS send_attempts_by_time ON send_attempts (reserved_at);
  CREATE TABLE IF NOT EXISTS send_ids (
    key TEXT PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    attempt INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS send_ids_by_attempt ON send_ids (attempt);
  CREATE TABLE IF NOT EXISTS send_connections (
    key TEXT PRIMARY KEY,
    connection TEXT NOT NULL,
    used_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS send_connections_by_time ON send_connections (used_at);
  CREATE TABLE IF NOT EXISTS send_counts (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    ids INTEGER NOT NULL,
    connections INTEGER NOT NULL
  ) STRICT;
  INSERT OR IGNORE INTO send_counts (only, ids, connections) VALUES (1, 0, 0);
  CREATE TRIGGER IF NOT EXISTS send_id_added AFTER INSERT ON send_ids
    BEGIN UPDATE send_counts SET ids = ids + 1; END;
  CREATE TRIGGER IF NOT EXISTS send_id_removed AFTER DELETE ON send_ids
    BEGIN UPDATE send_counts SET ids = ids - 1; END;
  CREATE TRIGGER IF NOT EXISTS send_connection_added AFTER INSERT ON send_connections
    BEGIN UPDATE send_counts SET connections = connections + 1; END;
  CREATE TRIGGER IF NOT EXISTS send_connection_removed AFTER DELETE ON send_connections
    BEGIN UPDATE send_counts SET connections = connections - 1; END;
`;

/** The operations of `IdempotencyStore`, at the time of the call. */
export interface SendTables {
  reserve(reservation: Reservation): ReserveOutcome;
  find(scope: SendScope, ids: readonly string[]): readonly KnownEntry[];
  settle(reservation: Reservation, result: SendResult): void;
  release(reservation: Reservation): void;
  findConnection(tenant: string, connectionId: string): KnownConnection | null;
  /** Removes up to `rows` expired rows of each table. Returns in how many milliseconds the oldest that remains expires, or `null`. */
  prune(rows: number): number | null;
}

/** Options of {@link openSendTables}. */
export interface SendTablesOptions {
  readonly clock: Pick<Clock, "now" | "monotonic">;
  /** Ids, and connections, that are remembered at most. */
  readonly capacity: number;
}

const sql = {
  selectKnown: `SELECT wanted.key AS wanted_at, send_ids.fingerprint, send_attempts.* FROM json_each(?) AS wanted
    JOIN send_ids ON send_ids.key = wanted.value JOIN send_attempts ON send_attempts.attempt = send_ids.attempt
    WHERE send_attempts.reserved_at > ?`,
  selectAttempt: `SELECT send_attempts.attempt FROM json_each(?) AS wanted
    JOIN send_ids ON send_ids.key = wanted.value JOIN send_attempts ON send_attempts.attempt = send_ids.attempt
    WHERE send_attempts.send_id = ? AND send_attempts.result IS NULL AND send_attempts.reserved_at > ? LIMIT 1`,
  selectCounts: "SELECT ids, connections FROM send_counts",
  insertAttempt: "INSERT INTO send_attempts (send_id, reserved_at, lease_ends_at) VALUES (?, ?, ?) RETURNING attempt",
  // The id may still belong to an attempt that has expired and was not removed yet.
  saveId: `INSERT INTO send_ids (key, fingerprint, attempt) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, attempt = excluded.attempt`,
  saveConnection: `INSERT INTO send_connections (key, connection, used_at) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET connection = excluded.connection, used_at = excluded.used_at`,
  selectConnection: "SELECT connection FROM send_connections WHERE key = ? AND used_at > ?",
  isConnectionStored: "SELECT 1 FROM send_connections WHERE key = ?",
  saveResult: "UPDATE send_attempts SET result = ? WHERE attempt = ?",
  deleteIds: "DELETE FROM send_ids WHERE attempt = ?",
  deleteAttempt: "DELETE FROM send_attempts WHERE attempt = ?",
  selectExpired: "SELECT attempt FROM send_attempts WHERE reserved_at <= ? ORDER BY reserved_at LIMIT ?",
  deleteExpiredConnections: `DELETE FROM send_connections WHERE key IN
    (SELECT key FROM send_connections WHERE used_at <= ? ORDER BY used_at LIMIT ?)`,
  selectOldest: `SELECT min(at) AS oldest FROM
    (SELECT min(reserved_at) AS at FROM send_attempts UNION ALL SELECT min(used_at) FROM send_connections)`,
  // Every reservation saves a connection, so this is the time of the latest one.
  selectLatest: "SELECT max(used_at) AS latest FROM send_connections",
} as const;

type Statements = Readonly<Record<keyof typeof sql, ReturnType<SqliteDatabase["prepare"]>>>;

/** Prepares the operations on a database that has the {@link sendTables}. */
export function openSendTables(database: SqliteDatabase, { clock, capacity }: SendTablesOptions): SendTables {
  const statements = Object.fromEntries(
    Object.entries(sql).map(([name, text]) => [name, database.prepare(text)]),
  ) as Statements;

  const now = createSharedTime(createSteadyNow(clock), () => Number(statements.selectLatest.get()?.["latest"] ?? 0));

  function find(scope: SendScope, ids: readonly string[], nowMs: number): readonly KnownEntry[] {
    const wanted = JSON.stringify(ids.map((id) => keyOf(scope, id)));
    const rows = statements.selectKnown.all(wanted, nowMs - retentionMs);
    return rows.map((row) => readEntry(row, ids[Number(row["wanted_at"])] ?? "", nowMs));
  }

  function hasRoom({ scope, entries, connectionId }: Reservation): boolean {
    const counts = statements.selectCounts.get();
    if (Number(counts?.["ids"]) + entries.length > capacity) return false;
    if (Number(counts?.["connections"]) < capacity) return true;
    return statements.isConnectionStored.get(connectionKeyOf(scope.tenant, connectionId)) !== undefined;
  }

  function reserve(reservation: Reservation): ReserveOutcome {
    const nowMs = now();
    const { scope, entries, sendId, leaseMs, connectionId, connection } = reservation;
    prune(statements, nowMs, rowsPerPrune);
    const ids = entries.map(({ id }) => id);
    const known = find(scope, ids, nowMs);
    if (known.length > 0) return { kind: "known", entries: known };
    if (!hasRoom(reservation)) {
      prune(statements, nowMs, rowsPerFullPrune);
      if (!hasRoom(reservation)) return { kind: "full" };
    }
    const attempt = Number(statements.insertAttempt.get(sendId, nowMs, nowMs + leaseMs)?.["attempt"]);
    for (const { id, fingerprint } of entries) statements.saveId.run(keyOf(scope, id), fingerprint, attempt);
    const key = connectionKeyOf(scope.tenant, connectionId);
    statements.saveConnection.run(key, JSON.stringify(connection), nowMs);
    return { kind: "reserved" };
  }

  /** The attempt of a reservation, if it still has ids and no result. */
  function openAttempt({ scope, entries, sendId }: Reservation, sinceMs: number): number | null {
    const keys = JSON.stringify(entries.map(({ id }) => keyOf(scope, id)));
    const row = statements.selectAttempt.get(keys, sendId, sinceMs);
    return row === undefined ? null : Number(row["attempt"]);
  }

  return {
    reserve,
    find: (scope, ids) => find(scope, ids, now()),
    settle(reservation, result) {
      const attempt = openAttempt(reservation, now() - retentionMs);
      if (attempt !== null) statements.saveResult.run(JSON.stringify(result), attempt);
    },
    release(reservation) {
      const attempt = openAttempt(reservation, -1);
      if (attempt !== null) deleteAttempt(statements, attempt);
    },
    findConnection(tenant, connectionId) {
      const row = statements.selectConnection.get(connectionKeyOf(tenant, connectionId), now() - retentionMs);
      return row === undefined ? null : (JSON.parse(String(row["connection"])) as KnownConnection);
    },
    prune(rows) {
      const nowMs = now();
      prune(statements, nowMs, rows);
      const oldest = statements.selectOldest.get()?.["oldest"] ?? null;
      return oldest === null ? null : Number(oldest) + retentionMs - nowMs;
    },
  };
}

/**
 * Returns a function for the time. It starts at the wall time and then follows the monotonic clock. If the tables have a later time,
 * because the wall clock was set back before this process started, it continues from there: what is stored keeps the rest of its
 * time, and processes that share the tables agree.
 */
function createSharedTime(ownNow: () => number, latestStored: () => number): () => number {
  let aheadMs = 0;
  function now(): number {
    aheadMs += Math.max(0, latestStored() - ownNow() - aheadMs);
    return ownNow() + aheadMs;
  }
  now();
  return now;
}

function prune(statements: Statements, nowMs: number, rows: number): void {
  const cutMs = nowMs - retentionMs;
  for (const row of statements.selectExpired.all(cutMs, rows)) deleteAttempt(statements, Number(row["attempt"]));
  statements.deleteExpiredConnections.run(cutMs, rows);
}

function deleteAttempt({ deleteIds, deleteAttempt: deleteRow }: Statements, attempt: number): void {
  deleteIds.run(attempt);
  deleteRow.run(attempt);
}

/** JSON separates the parts whatever they contain, and escapes what SQLite texts cannot hold: NUL and lone surrogates. */
function keyOf({ tenant, environmentId, agentId, conversationId }: SendScope, id: string): string {
  return JSON.stringify([tenant, environmentId, agentId, conversationId, id]);
}

function connectionKeyOf(tenant: string, connectionId: string): string {
  return JSON.stringify([tenant, connectionId]);
}

function readEntry(row: SqliteRow, id: string, nowMs: number): KnownEntry {
  const { fingerprint, send_id: sendId, lease_ends_at: leaseEndsAt, result } = row;
  const entry = { id, fingerprint: String(fingerprint), sendId: String(sendId) };
  if (typeof result === "string") {
    return { ...entry, state: { kind: "finished", result: JSON.parse(result) as SendResult } };
  }
  return { ...entry, state: { kind: nowMs < Number(leaseEndsAt) ? "in_progress" : "unknown" } };
}

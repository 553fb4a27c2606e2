/**
 * The tables that remember sends, and the synchronous operations on them. Node, Bun and Deno keep them in the file of the audit
 * records; on Workers each tenant has a Durable Object with them. Every operation that changes something must run in a write
 * transaction.
 */
import { type Clock, createAnchoredNow, type SqliteDatabase, type SqliteRow } from "@letta-environments/platform";
import {
  keyOfConnection,
  keyOfId,
  type KnownConnection,
  type KnownEntry,
  type Reservation,
  type ReserveOutcome,
  retentionMs,
  type SendResult,
  type SendScope,
} from "../../idempotency/store.ts";
import { isDeepEqual } from "../../lib/deep-equal.ts";
import { createSharedTime } from "./shared-time.ts";

/** Maximum number of remembered ids, and of connections. */
export const defaultCapacity = 1_000_000;
/** Expired rows of each table that one reservation removes: more than it adds, so that none are left over. */
const rowsPerPrune = 64;
/** The same for a reservation that finds no room. */
const rowsPerFullPrune = 1_024;

/**
 * The tables. A text `key` stands for an id in its scope, see {@link keyOfId}. A row of `send_attempts` is one send, with its result. Results and
 * connections are JSON. Triggers count the rows, because counting a million of them is slow. If a send is released before its reservation
 * arrives, an attempt with the single id {@link keyOfReleased} is stored, even without room. Earlier versions count and remove it like any other.
 *
 * Durable Objects execute them at each start, without a version. So a new column is not added here, but needs a step in `migrateAuditFile`, and its
 * own check in `adapters/cloudflare/tenant-object.ts`, as `audit_dropped` has one in `audit-retention.ts` there.
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

export interface SendTablesOptions {
  readonly clock: Pick<Clock, "now" | "monotonic">;
  /** Maximum number of remembered ids, and of connections. */
  readonly capacity: number;
  /** Keeps a part of the capacity for tenants that use little; absent: all ids belong to one tenant. */
  readonly share?: CapacityShare | undefined;
}

/** The last part of a capacity that tenants share. */
export interface CapacityShare {
  /** Number of ids. */
  readonly kept: number;
  /** Whether a tenant may use the kept part for more ids. */
  mayUse(tenant: string, idCount: number): boolean;
}

const sql = {
  // Two statements, because most ids are new, which one table shows, and a join takes Bun ten times as long.
  selectId: "SELECT fingerprint, attempt FROM send_ids WHERE key = ?",
  selectAttempt: "SELECT send_id, lease_ends_at, result FROM send_attempts WHERE attempt = ? AND reserved_at > ?",
  // All ids of an attempt that has not expired belong to it, so the first one finds it.
  selectOpen: `SELECT attempt FROM send_attempts WHERE attempt = (SELECT attempt FROM send_ids WHERE key = ?)
    AND send_id = ? AND result IS NULL`,
  selectCounts: `SELECT ids, connections, (SELECT max(attempt) FROM send_attempts) AS attempt FROM send_counts`,
  insertAttempt: "INSERT INTO send_attempts (attempt, send_id, reserved_at, lease_ends_at) VALUES (?, ?, ?, ?)",
  // The id may still belong to an attempt that has expired and was not removed yet.
  saveId: `INSERT INTO send_ids (key, fingerprint, attempt) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, attempt = excluded.attempt`,
  saveConnection: `INSERT INTO send_connections (key, connection, used_at) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET connection = excluded.connection, used_at = excluded.used_at`,
  selectConnection: "SELECT connection FROM send_connections WHERE key = ? AND used_at > ?",
  isConnectionStored: "SELECT 1 FROM send_connections WHERE key = ?",
  saveResult: `UPDATE send_attempts SET result = ? WHERE attempt = (SELECT attempt FROM send_ids WHERE key = ?)
    AND send_id = ? AND result IS NULL AND reserved_at > ?`,
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

/** The state that the changes of one transaction share. */
interface Batch {
  readonly nowMs: number;
  /** Expired rows may be left. */
  hasExpired: boolean;
  /** Upper bounds of the stored rows, and the highest attempt; `null` until a reservation needs them. */
  counts: { ids: number; connections: number; attempt: number } | null;
  /** The connections that were saved, by key. */
  readonly connections: Map<string, KnownConnection>;
}

/**
 * Prepares the operations of `IdempotencyStore` on a database that has the {@link sendTables}. Call `begin` before operations that change
 * something.
 */
export function openSendTables(database: SqliteDatabase, { clock, capacity, share }: SendTablesOptions) {
  const statements = Object.fromEntries(
    Object.entries(sql).map(([name, text]) => [name, database.prepare(text)]),
  ) as Statements;
  const now = createSharedTime(createAnchoredNow(clock), () => Number(statements.selectLatest.get()?.["latest"] ?? 0));
  let batch: Batch | null = null;

  const running = (): Batch =>
    (batch ??= { nowMs: now(), hasExpired: true, counts: null, connections: new Map<string, KnownConnection>() });

  /** Whether there is room for ids of a tenant, and for a connection. */
  function hasRoomFor(tenant: string, idCount: number, connectionKey: string): boolean {
    const current = running();
    if (!hasRoom(statements, current, capacity, idCount, connectionKey)) return false;
    if (share === undefined || countsOf(statements, current).ids + idCount <= capacity - share.kept) return true;
    return share.mayUse(tenant, idCount);
  }

  return {
    /** Begins a write transaction. Its changes share the time, the counts and the search for expired rows. */
    begin(): void {
      batch = null;
    },
    reserve(reservation: Reservation): ReserveOutcome {
      const current = running();
      const { sendId, scope, entries, connectionId } = reservation;
      if (statements.selectId.get(keyOfReleased(sendId)) !== undefined) throw new Error("the send was released");
      if (current.hasExpired) prune(statements, current, rowsPerPrune);
      const keys = entries.map(({ id }) => keyOfId(scope, id));
      const known = find(statements, entries, keys, current.nowMs);
      const connectionKey = keyOfConnection(scope.tenant, connectionId);
      if (known.length > 0) {
        if (hasRoom(statements, current, capacity, 0, connectionKey))
          saveConnection(statements, current, connectionKey, reservation.connection);
        return { kind: "known", entries: known };
      }
      if (!hasRoomFor(scope.tenant, keys.length, connectionKey)) {
        prune(statements, current, rowsPerFullPrune);
        current.counts = null;
        if (!hasRoomFor(scope.tenant, keys.length, connectionKey)) return { kind: "full" };
      }
      saveAttempt(statements, current, reservation, keys);
      saveConnection(statements, current, connectionKey, reservation.connection);
      return { kind: "reserved" };
    },
    find(scope: SendScope, ids: readonly string[]): readonly KnownEntry[] {
      const messages = ids.map((id) => ({ id }));
      const keys = ids.map((id) => keyOfId(scope, id));
      return find(statements, messages, keys, now());
    },
    settle(reservation: Reservation, result: SendResult): void {
      const sinceMs = running().nowMs - retentionMs;
      statements.saveResult.run(JSON.stringify(result), firstKeyOf(reservation), reservation.sendId, sinceMs);
    },
    release(reservation: Reservation): void {
      const row = statements.selectOpen.get(firstKeyOf(reservation), reservation.sendId);
      if (row === undefined) {
        saveAttempt(statements, running(), { ...reservation, leaseMs: 0 }, [keyOfReleased(reservation.sendId)]);
        return;
      }
      deleteAttempt(statements, Number(row["attempt"]));
      running().counts = null;
    },
    findConnection(tenant: string, connectionId: string): KnownConnection | null {
      const row = statements.selectConnection.get(keyOfConnection(tenant, connectionId), now() - retentionMs);
      return row === undefined ? null : (JSON.parse(String(row["connection"])) as KnownConnection);
    },
    /** Removes up to `rows` expired rows of each table. Returns in how many milliseconds the oldest that remains expires, or `null`. */
    prune(rows: number): number | null {
      prune(statements, running(), rows);
      const oldest = statements.selectOldest.get()?.["oldest"] ?? null;
      return oldest === null ? null : Number(oldest) + retentionMs - running().nowMs;
    },
  };
}

/** @param keys The keys of the entries, in the same order. */
function find(
  { selectId, selectAttempt }: Statements,
  entries: readonly Pick<KnownEntry, "id">[],
  keys: readonly string[],
  nowMs: number,
): readonly KnownEntry[] {
  return entries.flatMap(({ id }, index) => {
    const row = selectId.get(keys[index] ?? "");
    if (row === undefined) return [];
    const attempt = selectAttempt.get(row["attempt"] ?? null, nowMs - retentionMs);
    return attempt === undefined ? [] : [readEntry(id, String(row["fingerprint"]), attempt, nowMs)];
  });
}

/** Whether there is room for ids and a connection. */
function hasRoom(
  statements: Statements,
  batch: Batch,
  capacity: number,
  idCount: number,
  connectionKey: string,
): boolean {
  const { ids, connections } = countsOf(statements, batch);
  if (ids + idCount > capacity) return false;
  if (connections < capacity || batch.connections.has(connectionKey)) return true;
  return statements.isConnectionStored.get(connectionKey) !== undefined;
}

function countsOf({ selectCounts }: Statements, batch: Batch): NonNullable<Batch["counts"]> {
  if (batch.counts !== null) return batch.counts;
  const row = selectCounts.get();
  const [ids, connections, attempt] = ["ids", "connections", "attempt"].map((name) => Number(row?.[name] ?? 0));
  return (batch.counts = { ids: ids ?? 0, connections: connections ?? 0, attempt: attempt ?? 0 });
}

function saveAttempt(
  statements: Statements,
  batch: Batch,
  { sendId, entries, leaseMs }: Reservation,
  keys: readonly string[],
): void {
  const counts = countsOf(statements, batch);
  counts.attempt += 1;
  statements.insertAttempt.run(counts.attempt, sendId, batch.nowMs, batch.nowMs + leaseMs);
  for (const [index, key] of keys.entries()) {
    statements.saveId.run(key, entries[index]?.fingerprint ?? "", counts.attempt);
  }
  // A row that is replaced is counted twice, so these are upper bounds.
  counts.ids += keys.length;
}

function saveConnection(statements: Statements, batch: Batch, key: string, connection: KnownConnection): void {
  const { nowMs, connections } = batch;
  if (isDeepEqual(connections.get(key), connection)) return;
  statements.saveConnection.run(key, JSON.stringify(connection), nowMs);
  connections.set(key, connection);
  countsOf(statements, batch).connections += 1;
}

function prune(statements: Statements, batch: Batch, rows: number): void {
  const cutMs = batch.nowMs - retentionMs;
  const expired = statements.selectExpired.all(cutMs, rows);
  for (const row of expired) deleteAttempt(statements, Number(row["attempt"]));
  const { changes } = statements.deleteExpiredConnections.run(cutMs, rows);
  batch.hasExpired = expired.length === rows || changes === rows;
}

function deleteAttempt({ deleteIds, deleteAttempt: deleteRow }: Statements, attempt: number): void {
  deleteIds.run(attempt);
  deleteRow.run(attempt);
}

function firstKeyOf({ scope, entries }: Reservation): string {
  return keyOfId(scope, entries[0]?.id ?? "");
}

/** The key of the mark with which a reservation that arrives after its release is refused. No id of a scope has such a key. */
function keyOfReleased(sendId: string): string {
  return JSON.stringify([sendId]);
}

function readEntry(id: string, fingerprint: string, attempt: SqliteRow, nowMs: number): KnownEntry {
  const { send_id: sendId, lease_ends_at: leaseEndsAt, result } = attempt;
  const entry = { id, fingerprint, sendId: String(sendId) };
  if (typeof result === "string") {
    return { ...entry, state: { kind: "finished", result: JSON.parse(result) as SendResult } };
  }
  return { ...entry, state: { kind: nowMs < Number(leaseEndsAt) ? "in_progress" : "unknown" } };
}

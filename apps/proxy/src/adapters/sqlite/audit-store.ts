/**
 * Audit storage in a SQLite file. Several processes may share the file, each with its own chain. Triggers prevent mistakes; only
 * the chains and their seals protect against an attacker who can write to the file.
 */
import type { SqliteDatabase, SqliteRow, SqliteStatement } from "@letta-environments/platform";
import type {
  AuditChains,
  AuditDirectory,
  AuditHead,
  AuditRecord,
  AuditStore,
  DroppedRecords,
} from "../../audit/store.ts";
import type { AuditRetentionStore } from "../../audit/retention.ts";
import type { AuditChainTail, AuditTail } from "../../audit/search.ts";
import { parseJsonObject } from "../../lib/json.ts";
import { migrateAuditFile } from "./audit-migrations.ts";

/** Records in memory at a time while all are read. */
const pageSize = 500;
/** The characters after which a page of a search ends. */
const maxPageLength = 512 * 1024;

/** Heads of dropped chains stay forever and soon outnumber the others, so this goes from writer to writer through the records that are left. */
const remainingWriters =
  "WITH RECURSIVE remaining (writer) AS (SELECT min(writer) FROM audit_records UNION ALL " +
  "SELECT (SELECT min(writer) FROM audit_records WHERE audit_records.writer > remaining.writer) " +
  "FROM remaining WHERE writer IS NOT NULL)";

export interface SqliteAuditStore extends AuditStore, AuditChains {
  readonly tail: AuditTail;
}

/** Creates audit storage over a database, and migrates its tables. */
export function createSqliteAuditStore(database: SqliteDatabase): SqliteAuditStore {
  migrateAuditFile(database);
  const chains = createSqliteAuditChains(database);
  const selectHeads = database.prepare("SELECT * FROM audit_heads ORDER BY ordinal, writer");
  const selectDropped = database.prepare("SELECT * FROM audit_dropped");
  const selectHash = database.prepare("SELECT hash FROM audit_records WHERE writer = ? AND sequence = ?");
  const selectFirstPage = database.prepare(`SELECT * FROM audit_records ORDER BY writer, sequence LIMIT ${pageSize}`);
  const selectPage = database.prepare(
    `SELECT * FROM audit_records WHERE (writer, sequence) > (?, ?) ORDER BY writer, sequence LIMIT ${pageSize}`,
  );

  function readHash(writer: string, sequence: number): string | null {
    const row = selectHash.get(writer, sequence);
    return row === undefined ? null : String(row["hash"]);
  }

  function* readRecords(): Generator<AuditRecord> {
    let page = selectFirstPage.all().map(readRecord);
    for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
      yield* page;
      page = selectPage.all(last.writer, last.sequence).map(readRecord);
    }
  }

  // The heads may have been changed, and those of dropped chains stay.
  const selectWriters = database.prepare(
    `${remainingWriters} SELECT writer, (SELECT max(sequence) FROM audit_records WHERE audit_records.writer = remaining.writer) AS sequence ` +
      "FROM remaining LEFT JOIN audit_heads USING (writer) WHERE writer IS NOT NULL ORDER BY ordinal DESC",
  );
  const selectTail = database.prepare(
    "SELECT sequence, text FROM audit_records WHERE writer = ? AND sequence <= ? ORDER BY sequence DESC LIMIT ?",
  );

  const selectFirst = database.prepare("SELECT text FROM audit_records WHERE writer = ? ORDER BY sequence LIMIT 1");
  // Most chains have ended, so their times are read once.
  const known = new Map<string, AuditChainTail>();

  function readChain(writer: string, sequence: number): AuditChainTail | null {
    const before = known.get(writer);
    if (before?.sequence === sequence) return before;
    const last = selectTail.get(writer, sequence, 1);
    if (last === undefined) return null;
    const firstTime = before?.firstTime ?? timeOf(selectFirst.get(writer)?.["text"]);
    const lastTime = timeOf(last["text"]) || timeBeforeDamage(writer, sequence);
    const chain = { writer, sequence, firstTime, lastTime };
    known.set(writer, chain);
    return chain;
  }

  function timeBeforeDamage(writer: string, sequence: number): number {
    const times = selectTail.all(writer, sequence, pageSize).map((row) => timeOf(row["text"]));
    return times.find((time) => time > 0) ?? 0;
  }

  return {
    ...chains,
    tail: {
      writers: () =>
        selectWriters.all().flatMap((row) => readChain(String(row["writer"]), Number(row["sequence"])) ?? []),
      page: (writer, sequence, limit) => readPage(selectTail, writer, sequence, limit),
    },
    async snapshot(read) {
      // Writers continue during a read transaction, which does not see their changes.
      database.exec("BEGIN");
      try {
        const heads = selectHeads.all().map(readHead);
        const dropped = selectDropped.all().map(readDropped);
        return read({ directory: chains.directory(), heads, dropped, records: readRecords(), hashAt: readHash });
      } finally {
        database.exec("COMMIT");
      }
    },
  };
}

/** Reads a page of a search record by record, since records can be long. */
function readPage(select: SqliteStatement, writer: string, from: number, limit: number): ReturnType<AuditTail["page"]> {
  const rows: { readonly sequence: number; readonly text: string }[] = [];
  for (let [next, length] = [from, 0]; rows.length < limit && length < maxPageLength;) {
    const row = select.get(writer, next, 1);
    if (row === undefined) break;
    const [sequence, text] = [Number(row["sequence"]), String(row["text"])];
    rows.push({ sequence, text });
    length += text.length;
    next = sequence - 1;
  }
  return rows;
}

/** The writing side of audit storage in SQLite, which can also read the directory. */
export interface SqliteAuditChains extends AuditChains {
  directory(): AuditDirectory | null;
}

/**
 * Creates the writing side over a database that has the `auditTables`.
 *
 * @param isAlone for a Durable Object, where each row that is read counts: its chains follow each other, so only the last one can be unnoted. Heads
 * are never removed, so the highest row id is their number
 */
export function createSqliteAuditChains(database: SqliteDatabase, isAlone = false): SqliteAuditChains {
  const insertRecord = database.prepare("INSERT INTO audit_records (writer, sequence, text, hash) VALUES (?, ?, ?, ?)");
  const replaceHead = database.prepare(
    "INSERT INTO audit_heads (writer, ordinal, sequence, hash, pepper_id, seal) VALUES (?, ?, ?, ?, ?, ?) " +
      "ON CONFLICT (writer) DO UPDATE SET ordinal = excluded.ordinal, sequence = excluded.sequence, hash = excluded.hash, " +
      "pepper_id = excluded.pepper_id, seal = excluded.seal",
  );
  const saveDirectory = database.prepare(
    "INSERT OR REPLACE INTO audit_directory (only, count, pepper_id, seal) VALUES (1, ?, ?, ?)",
  );
  const selectDirectory = database.prepare("SELECT count, pepper_id, seal FROM audit_directory");
  const selectHead = database.prepare("SELECT * FROM audit_heads WHERE writer = ?");
  const countHeads = database.prepare(`SELECT ${isAlone ? "max(rowid)" : "count(*)"} AS count FROM audit_heads`);
  const heads = isAlone ? "(SELECT * FROM audit_heads ORDER BY rowid DESC LIMIT 1)" : "audit_heads";
  // An attacker who changes `noted` makes the next chain note fewer heads; it does not change the seals and the chains.
  const selectUnnoted = database.prepare(`SELECT * FROM ${heads} WHERE sequence > noted ORDER BY ordinal LIMIT 1000`);
  const markNoted = database.prepare("UPDATE audit_heads SET noted = sequence WHERE writer = ?");

  function insert({ writer, sequence, text, hash }: AuditRecord): void {
    insertRecord.run(writer, sequence, text, hash);
  }

  function saveHead({ writer, ordinal, sequence, hash, pepperId, seal }: AuditHead): void {
    replaceHead.run(writer, ordinal, sequence, hash, pepperId, seal);
  }

  function directory(): AuditDirectory | null {
    const row = selectDirectory.get();
    if (row === undefined) return null;
    return { count: Number(row["count"]), pepperId: String(row["pepper_id"]), seal: String(row["seal"]) };
  }

  return {
    open(begin) {
      const unnoted = selectUnnoted.all().map(readHead);
      const count = Number(countHeads.get()?.["count"]);
      const { record, head, directory: next } = begin({ directory: directory(), count, unnoted });
      for (const { writer } of unnoted) markNoted.run(writer);
      insert(record);
      saveHead(head);
      saveDirectory.run(next.count, next.pepperId, next.seal);
      return head;
    },
    insert,
    saveHead,
    head(writer) {
      const row = selectHead.get(writer);
      return row === undefined ? null : readHead(row);
    },
    directory,
  };
}

/**
 * Creates the store of retention over a migrated database.
 *
 * @param maxHeads maximum number of heads to list; -1: all
 */
export function createSqliteAuditRetention(database: SqliteDatabase, maxHeads = -1): AuditRetentionStore {
  const selectHeads = database.prepare(
    `${remainingWriters} SELECT audit_heads.* FROM remaining CROSS JOIN audit_heads USING (writer) ORDER BY ordinal, writer LIMIT ?`,
  );
  const selectHead = database.prepare("SELECT * FROM audit_heads WHERE writer = ?");
  const selectDropped = database.prepare("SELECT * FROM audit_dropped WHERE writer = ?");
  const selectRecords = database.prepare(
    "SELECT * FROM audit_records WHERE writer = ? AND sequence > ? ORDER BY sequence LIMIT ?",
  );
  const saveDropped = database.prepare(
    "INSERT OR REPLACE INTO audit_dropped (writer, ordinal, sequence, hash, closed, pepper_id, seal) VALUES (?, ?, ?, ?, ?, ?, ?)",
  );
  const deleteRecords = database.prepare("DELETE FROM audit_records WHERE writer = ? AND sequence <= ?");
  return {
    heads: () => selectHeads.all(maxHeads).map(readHead),
    head(writer) {
      const row = selectHead.get(writer);
      return row === undefined ? null : readHead(row);
    },
    dropped(writer) {
      const row = selectDropped.get(writer);
      return row === undefined ? null : readDropped(row);
    },
    recordsAfter: (writer, sequence, limit) => selectRecords.all(writer, sequence, limit).map(readRecord),
    drop({ writer, ordinal, sequence, hash, closed, pepperId, seal }) {
      // The trigger permits deleting records only up to the stored end.
      saveDropped.run(writer, ordinal, sequence, hash, closed ? 1 : 0, pepperId, seal);
      deleteRecords.run(writer, sequence);
    },
  };
}

/** The peppers of the seals of a log, whose tables can have any version. */
export function readPeppersOfSeals(database: SqliteDatabase): ReadonlySet<string> {
  const rows = database.prepare("SELECT pepper_id FROM audit_heads UNION SELECT pepper_id FROM audit_directory").all();
  return new Set(rows.map((row) => String(row["pepper_id"])));
}

/** The time of a record; 0 for one that cannot be read, as in a search. */
function timeOf(text: unknown): number {
  const { time } = parseJsonObject(String(text)) ?? {};
  return typeof time === "number" ? time : 0;
}

/** Reads the sealed end of a chain from a row of `audit_heads` or `audit_dropped`. */
export function readHead(row: SqliteRow): AuditHead {
  return {
    writer: String(row["writer"]),
    ordinal: Number(row["ordinal"]),
    sequence: Number(row["sequence"]),
    hash: String(row["hash"]),
    pepperId: String(row["pepper_id"]),
    seal: String(row["seal"]),
  };
}

/** Reads a row of `audit_records`. */
export function readRecord(row: SqliteRow): AuditRecord {
  return {
    writer: String(row["writer"]),
    sequence: Number(row["sequence"]),
    text: String(row["text"]),
    hash: String(row["hash"]),
  };
}

/** Reads a row of `audit_dropped`. */
export function readDropped(row: SqliteRow): DroppedRecords {
  return { ...readHead(row), closed: Number(row["closed"]) === 1 };
}

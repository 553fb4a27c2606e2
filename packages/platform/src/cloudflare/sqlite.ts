/** SQLite in a Durable Object, behind the same interface as the drivers of the other runtimes. */
import type { SqliteDatabase, SqliteRow, SqliteStatement, SqliteValue } from "../sqlite.ts";

/** The part of a Durable Object's storage that is used here. Cloudflare's `DurableObjectStorage` is assignable to it. */
export interface DurableStorage {
  readonly sql: {
    exec(
      sql: string,
      ...values: readonly DurableSqlValue[]
    ): {
      toArray(): Record<string, DurableSqlValue>[];
      readonly rowsWritten: number;
    };
  };
  transactionSync<Result>(run: () => Result): Result;
}

/** A value in the SQL API of a Durable Object. */
export type DurableSqlValue = ArrayBuffer | string | number | null;

/**
 * Opens the database of a Durable Object that is listed in `new_sqlite_classes`. It has one connection, and writes are confirmed
 * before any response leaves, so it needs none of the pragmas of the other drivers. `changes` also counts index rows.
 */
export function openDurableSqlite(storage: DurableStorage): SqliteDatabase {
  function prepare(sql: string): SqliteStatement {
    const run = (values: readonly SqliteValue[]): ReturnType<DurableStorage["sql"]["exec"]> =>
      storage.sql.exec(sql, ...values.map(toDurable));
    return {
      run(...values) {
        const cursor = run(values);
        cursor.toArray();
        return { changes: cursor.rowsWritten };
      },
      get: (...values) => run(values).toArray().map(fromDurable)[0],
      all: (...values) => run(values).toArray().map(fromDurable),
    };
  }

  return {
    exec: (sql) => void storage.sql.exec(sql).toArray(),
    prepare,
    transaction: (run) => storage.transactionSync(run),
    close: () => undefined,
  };
}

function toDurable(value: SqliteValue): DurableSqlValue {
  if (value instanceof Uint8Array) return Uint8Array.from(value).buffer;
  return typeof value === "bigint" ? Number(value) : value;
}

function fromDurable(row: Record<string, DurableSqlValue>): SqliteRow {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value instanceof ArrayBuffer ? new Uint8Array(value) : value]),
  );
}

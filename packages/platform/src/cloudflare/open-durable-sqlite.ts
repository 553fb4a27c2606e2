import type { SqliteDatabase, SqliteRow, SqliteStatement, SqliteValue } from "../sqlite.ts";

/** What is used of a Durable Object's storage; `DurableObjectStorage` of Cloudflare's types fits. */
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

/** A value as the SQL of a Durable Object takes and gives it. */
export type DurableSqlValue = ArrayBuffer | string | number | null;

/**
 * The database of a Durable Object of class `new_sqlite_classes`. It has one connection, and what was written is confirmed before anybody
 * outside hears of it, so the pragmas of the other drivers have no place here. `changes` counts the rows of indices too.
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

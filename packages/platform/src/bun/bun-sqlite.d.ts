/** The part of Bun's built-in driver that is used here (bun.sh/docs/runtime/sqlite). It replaces a dependency on Bun's types. */
declare module "bun:sqlite" {
  type Value = null | number | bigint | string | Uint8Array;

  export class Statement {
    run(...values: Value[]): { changes: number };
    get(...values: Value[]): Record<string, Value> | null;
    all(...values: Value[]): Record<string, Value>[];
  }

  export class Database {
    constructor(path: string, options?: { create?: boolean; readwrite?: boolean; strict?: boolean });
    run(sql: string): unknown;
    prepare(sql: string): Statement;
    close(): void;
  }
}

import type { SqliteRow } from "@letta-environments/platform";

/** @throws TypeError when the column is not text. */
export function readText(row: SqliteRow | undefined, column: string): string {
  const value = row?.[column];
  if (typeof value !== "string") throw new TypeError(`${column} is not text`);
  return value;
}

/** @throws TypeError when the column is neither text nor null. */
export function readOptionalText(row: SqliteRow | undefined, column: string): string | null {
  return row?.[column] === null ? null : readText(row, column);
}

/** @throws TypeError when the column is not a whole number that JavaScript can hold. */
export function readInteger(row: SqliteRow | undefined, column: string): number {
  const value = Number(row?.[column] ?? Number.NaN);
  if (!Number.isSafeInteger(value)) throw new TypeError(`${column} is not a whole number`);
  return value;
}
